"""The thinker's inputs as SGLang passes them on, for every request with media."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from PIL import Image
from sglang.srt.managers.schedule_batch import Modality, MultimodalDataItem, MultimodalProcessorOutput
from sglang.srt.multimodal.processors.base_processor import BaseMultimodalProcessor

from sglang_omni.errors import InvalidRequest
from sglang_omni.media import Loader, MediaPolicy, Video
from sglang_omni.media.budget import Budget
from sglang_omni.models.qwen3_omni.inputs import Inputs, Item, build_inputs, choose_frames

Load = Callable[..., Awaitable[Any]]
"""From a source and its name in the request to the decoded medium."""

LOW_DETAIL = 512
"""Pixels of the longer side of a picture whose `detail` is low."""

MODALITIES = {"image": Modality.IMAGE, "audio": Modality.AUDIO, "video": Modality.VIDEO}


CHECKS: dict[str, Callable[[Any], bool]] = {
    "use_audio_in_video": lambda value: isinstance(value, bool),
    "fps": lambda value: type(value) in (int, float) and 0 < value < float("inf"),
    "max_frames": lambda value: type(value) is int and value > 0,
}


@dataclass(frozen=True)
class VideoOptions:
    """How a request wants its videos read."""

    use_audio_in_video: bool = False
    fps: float | None = None
    max_frames: int | None = None

    @classmethod
    def of(cls, request: Any) -> "VideoOptions":
        given = {
            "use_audio_in_video": request.use_audio_in_video,
            **(request.video_config or {}),
            **(request.mm_processor_kwargs or {}),
        }
        # SGLang itself adds names that begin with an underscore.
        given = {name: value for name, value in given.items() if value is not None and name[:1] != "_"}
        for name, value in given.items():
            if name not in CHECKS:
                raise InvalidRequest(f"for videos, {name} is not one of {', '.join(CHECKS)}", param=name)
            if not CHECKS[name](value):
                raise InvalidRequest(f"for videos, {name} cannot be {value!r}", param=name)
        return cls(**given)


class Qwen3OmniProcessor(BaseMultimodalProcessor):
    """SGLang's multimodal processor for this family.

    It lives in SGLang's TokenizerManager (`tokenizer_manager.mm_processor`), in the HTTP process; the server sets
    the policy of its `media`. In SGLang's GenerateReqInput, a request's media are in `image_data`, `audio_data` and
    `video_data`, in the order of the prompt's placeholders; how videos are read is in its field `use_audio_in_video`,
    in `video_config` (`fps`, `max_frames`), or, all three, in `mm_processor_kwargs`, which alone reaches the samples
    of a request with `n` > 1.

    Prompts come as ids with one placeholder per medium (`sglang_omni.prompt_text`). Media are fetched and decoded
    by `media`, and turned into features on a thread pool.
    """

    prefer_tokenized_input = True

    def __init__(self, hf_config: Any, server_args: Any, _processor: Any, *args: Any, **kwargs: Any):
        super().__init__(hf_config.thinker_config, server_args, _processor, *args, **kwargs)
        self.media = Loader(MediaPolicy(), decoders=self.mm_io_worker_num)

    def shutdown(self) -> None:
        super().shutdown()
        self.media.stop()

    def _preprocessing_competes_with_the_scheduler(self) -> bool:
        return False  # features are made on the CPU, as by transformers, so several workers help

    async def load_media(self, request: Any) -> None:
        """Replaces every source in the request by the decoded medium.

        A route that must refuse a bad medium before its stream starts awaits this; what is decoded stays as it is.
        """
        options = VideoOptions.of(request)
        choose = partial(choose_frames, self._processor, fps=options.fps, max_frames=options.max_frames)
        loaders: dict[str, tuple[type, Load]] = {
            "image": (Image.Image, self.media.image),
            "audio": (np.ndarray, self.media.audio),
            "video": (Video, partial(self.media.video, choose=choose, with_sound=options.use_audio_in_video)),
        }
        budget = Budget(self.media.policy)
        tasks = {}
        try:
            async with asyncio.TaskGroup() as group:
                for kind, loader in loaders.items():
                    sources = getattr(request, f"{kind}_data") or []
                    sources = sources if isinstance(sources, list) else [sources]
                    named = [(source, f"{kind}s[{i}]") for i, source in enumerate(sources)]
                    tasks[kind] = [group.create_task(_load(*source, *loader, budget)) for source in named]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None  # it ended the others
        for kind, loaded in tasks.items():
            setattr(request, f"{kind}_data", [task.result() for task in loaded] or None)

    async def process_mm_data_async(
        self, image_data: Any, audio_data: Any, input_text: list[int], request_obj: Any, **_: Any
    ) -> MultimodalProcessorOutput:
        """`input_text` holds the prompt's ids, `request_obj` the media, which the first two arguments repeat."""
        options = VideoOptions.of(request_obj)
        await self.load_media(request_obj)
        build = partial(
            build_inputs,
            config=self.hf_config,
            prompt=input_text,
            images=request_obj.image_data or (),
            audios=request_obj.audio_data or (),
            videos=request_obj.video_data or (),
            use_audio_in_video=options.use_audio_in_video,
            fps=options.fps,
        )
        if self.mm_processor_executor is None:
            inputs = build(self._processor)
        else:
            inputs = await self.mm_processor_executor.run(build)
        return self._output(inputs)

    def _output(self, inputs: Inputs) -> MultimodalProcessorOutput:
        longest = max((item.feature.shape[-1] for item in inputs.items if item.kind == "audio"), default=0)
        window = min(longest, 2 * self.hf_config.audio_config.n_window)
        return MultimodalProcessorOutput(
            input_ids=inputs.ids.tolist(),
            mm_items=[_sglang_item(item, window) for item in inputs.items],
            im_token_id=self.hf_config.image_token_id,
            video_token_id=self.hf_config.video_token_id,
            audio_token_id=self.hf_config.audio_token_id,
            mrope_positions=inputs.positions,
            mrope_position_delta=inputs.delta,
        )


async def _load(source: Any, name: str, decoded: type, load: Load, budget: Budget) -> Any:
    if getattr(source, "detail", None) == "low":
        load = partial(load, longest=LOW_DETAIL)
    source = getattr(source, "url", source)  # SGLang's ImageData and VideoData
    if not isinstance(source, str | bytes | decoded):
        raise InvalidRequest(f"{name}: must be a path, a URL or a data URI", param=name)
    medium = source if isinstance(source, decoded) else await load(source, name)
    budget.spend(medium, name)
    return medium


def _sglang_item(item: Item, window: int) -> MultimodalDataItem:
    """`window` is the width, in frames, to which the thinker pads the last piece of each of a request's sounds."""
    result = MultimodalDataItem(modality=MODALITIES[item.kind], feature=item.feature.contiguous(), offsets=item.runs)
    if item.grid is not None:
        result.set(f"{item.kind}_grid_thw", item.grid)
    if item.kind == "audio":
        result.set("window", window)
    result.set_hash(_hash(item, window if item.kind == "audio" else None))
    return result


def _hash(item: Item, window: int | None) -> int:
    """The item's identity in the prefix cache: its values and all that its embedding and positions depend on.

    SGLang's own hash sees only the values, and two plain pictures of different shape have the same.
    """
    grid = None if item.grid is None else item.grid.tolist()
    digest = hashlib.sha256(repr((item.feature.shape, grid, item.seconds, window)).encode())
    digest.update(item.feature.contiguous().numpy())
    return int.from_bytes(digest.digest()[:8], "big")
