"""What the thinker is given: the prompt's ids with media expanded, the media's features, and positions."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from transformers import Qwen3OmniMoeProcessor
from transformers.models.qwen3_omni_moe.configuration_qwen3_omni_moe import Qwen3OmniMoeThinkerConfig
from transformers.models.qwen3_omni_moe.modeling_qwen3_omni_moe import (
    Qwen3OmniMoePreTrainedModelForConditionalGeneration as Reference,
)
from transformers.video_utils import VideoMetadata

from sglang_omni.errors import InvalidRequest
from sglang_omni.media import Video


@dataclass(frozen=True)
class Item:
    """One medium of a prompt.

    `feature` is (patches, values) of a picture or video, (mel bins, frames) of a sound. `runs` are the first and last
    prompt positions of each stretch of its tokens: several where a video's tokens and its sound's alternate. `grid`
    (1, 3) is a picture's or video's number of patches in time, height and width, `seconds` the time between a video's.
    """

    kind: str
    feature: Tensor
    runs: list[tuple[int, int]]
    grid: Tensor | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Inputs:
    """`ids` (length,), the `items` of each kind in prompt order, `positions` (3, length) of time, height and width,
    and `delta` (1, 1): a generated token's position less its index."""

    ids: Tensor
    items: list[Item]
    positions: Tensor
    delta: Tensor


def choose_frames(
    processor: Qwen3OmniMoeProcessor,
    total: int,
    rate: float,
    fps: float | None = None,
    max_frames: int | None = None,
) -> list[int]:
    """Indices of the frames that transformers samples from a video of `total` frames at `rate` frames/s.

    Its rounding may end with one behind the last frame, of which its readers take no notice.
    """
    sampler = processor.video_processor
    if min(total, max_frames or total) < sampler.temporal_patch_size:
        return [0]
    metadata = VideoMetadata(total_num_frames=total, fps=rate)
    indices = sampler.sample_frames(metadata=metadata, fps=fps or default_fps(processor), max_frames=max_frames)
    return [index for index in indices.tolist() if index < total]


def default_fps(processor: Qwen3OmniMoeProcessor) -> float:
    """Sampled frames per second: the checkpoint's, or transformers' default for this family."""
    return processor.video_processor.fps or 1.0


def build_inputs(
    processor: Qwen3OmniMoeProcessor,
    config: Qwen3OmniMoeThinkerConfig,
    prompt: Sequence[int],
    images: Sequence[Image.Image] = (),
    audios: Sequence[NDArray[np.float32]] = (),
    videos: Sequence[Video] = (),
    use_audio_in_video: bool = False,
    fps: float | None = None,
) -> Inputs:
    """Exactly what transformers' processor and `get_rope_index` make of the same prompt and media, positions rounded
    down: they are whole unless `fps`, the rate that the videos were sampled at, is an odd one.

    In `prompt` one placeholder stands for each medium, between its start and end tokens. The processor expands a
    text of the placeholders alone, and each expansion replaces its placeholder: the prompt is never encoded again.
    """
    kinds = {config.image_token_id: "image", config.audio_token_id: "audio", config.video_token_id: "video"}
    placeholders = [(position, kinds[id]) for position, id in enumerate(prompt) if id in kinds]
    _check(processor, prompt, placeholders, {"image": images, "audio": audios, "video": videos})
    given, videos_left = iter(audios), iter(videos)
    sounds = []
    for _, kind in placeholders:
        if kind == "audio":
            sounds.append(next(given))
        elif kind == "video" and (video := next(videos_left)).sound is not None and use_audio_in_video:
            sounds.append(video.sound)

    separator = processor.tokenizer.eos_token
    batch = processor(
        text=separator.join("".join(_bracketed(processor, kind)) for _, kind in placeholders),
        images=list(images) or None,
        audio=sounds or None,
        videos=[torch.from_numpy(video.frames).permute(0, 3, 1, 2) for video in videos] or None,
        videos_kwargs={
            "use_audio_in_video": use_audio_in_video,
            "fps": fps or default_fps(processor),
            "do_sample_frames": False,
        },
        return_tensors="pt",
    )
    expansions = _split(batch["input_ids"][0].tolist(), processor.tokenizer.convert_tokens_to_ids(separator))

    ids: list[int] = []
    end = 0
    spans = []
    for (position, _), expansion in zip(placeholders, expansions, strict=True):
        ids += prompt[end:position]
        spans.append((len(ids), len(ids) + len(expansion) - 2))
        ids += expansion[1:-1]  # the start and end tokens are in the prompt
        end = position + 1
    ids += prompt[end:]

    expanded = torch.tensor(ids)
    positions, delta = _RopeIndex(config).get_rope_index(
        expanded[None],
        batch.get("image_grid_thw"),
        batch.get("video_grid_thw"),
        torch.ones(1, len(ids)),
        use_audio_in_video,
        batch["feature_attention_mask"].sum(-1) if sounds else None,
        batch.get("video_second_per_grid"),
    )
    items = _items(batch, {kind: id for id, kind in kinds.items()}, expanded, spans)
    return Inputs(expanded, items, positions[:, 0].long(), delta.long())


def _bracketed(processor: Qwen3OmniMoeProcessor, kind: str) -> tuple[str, str, str]:
    """A placeholder between its start and end tokens."""
    if kind == "audio":
        return processor.audio_bos_token, processor.audio_token, processor.audio_eos_token
    token = processor.image_token if kind == "image" else processor.video_token
    return processor.vision_bos_token, token, processor.vision_eos_token


def _check(
    processor: Qwen3OmniMoeProcessor,
    prompt: Sequence[int],
    placeholders: list[tuple[int, str]],
    media: dict[str, Sequence[Any]],
) -> None:
    """Chat templates place media right; a raw prompt may not."""
    starts = Counter[str]()
    for kind, given in media.items():
        start, token, end = _bracketed(processor, kind)
        positions = [position for position, of in placeholders if of == kind]
        if len(positions) != len(given):
            raise InvalidRequest(f"the prompt has {token} {len(positions)} times, for {kind}s: {len(given)}")
        ids = processor.tokenizer.convert_tokens_to_ids([start, end])
        if any(list(prompt[position - 1 : position + 2 : 2]) != ids for position in positions):
            raise InvalidRequest(f"in the prompt, {token} must stand between {start} and {end}")
        starts[start] += len(given)
    for start, count in starts.items():
        if list(prompt).count(processor.tokenizer.convert_tokens_to_ids(start)) != count:
            raise InvalidRequest(f"the prompt has a {start} that begins nothing")


def _split(ids: list[int], separator: int) -> list[list[int]]:
    parts: list[list[int]] = [[]]
    for id in ids:
        if id == separator:
            parts.append([])
        else:
            parts[-1].append(id)
    return parts


def _items(batch: Any, token_ids: dict[str, int], ids: Tensor, spans: list[tuple[int, int]]) -> list[Item]:
    runs = {
        kind: [found for start, end in spans if (found := _runs(ids, token_id, start, end))]
        for kind, token_id in token_ids.items()
    }
    items: list[Item] = []
    if "pixel_values" in batch:
        grids = batch["image_grid_thw"]
        patches = batch["pixel_values"].split(grids.prod(-1).tolist())
        items += map(Item, repeat("image"), patches, runs["image"], grids.split(1))
    if "input_features" in batch:
        lengths = batch["feature_attention_mask"].sum(-1).tolist()
        sounds = [sound[:, :length] for sound, length in zip(batch["input_features"], lengths, strict=True)]
        items += map(Item, repeat("audio"), sounds, runs["audio"])
    if "pixel_values_videos" in batch:
        grids = batch["video_grid_thw"]
        patches = batch["pixel_values_videos"].split(grids.prod(-1).tolist())
        seconds = batch["video_second_per_grid"].tolist()
        items += map(Item, repeat("video"), patches, runs["video"], grids.split(1), seconds)
    return items


def _runs(ids: Tensor, token_id: int, start: int, end: int) -> list[tuple[int, int]]:
    """First and last positions of each stretch of `token_id` among ids[start:end]."""
    inside = torch.nn.functional.pad((ids[start:end] == token_id).int(), (1, 1)).diff()
    firsts, lasts = (inside == 1).nonzero()[:, 0] + start, (inside == -1).nonzero()[:, 0] + start - 1
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


class _RopeIndex:
    """transformers' `get_rope_index` with the two things it asks of its model."""

    get_rope_index = Reference.get_rope_index
    get_llm_pos_ids_for_vision = Reference.get_llm_pos_ids_for_vision

    def __init__(self, config: Qwen3OmniMoeThinkerConfig):
        self.config = config
        self.spatial_merge_size = config.vision_config.spatial_merge_size
