"""The thinker: text, pictures, videos and sounds in, short sentences out."""

import math
import random
import time
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad
from transformers import Qwen3OmniMoeProcessor, Qwen3OmniMoeThinkerForConditionalGeneration

from sglang_omni.models.qwen3_omni.demo.config import demo_config
from training import pictures, shipped, sounds
from training.embeddings import text_embeddings
from training.examples import SIZE, Conversation, Example, World, processor, read
from training.held_out import held_out_clips
from training.loop import Checkpoint, train
from training.parts import parser, whole
from training.senses import disguised, teach_ear, teach_eye

EAR_STEPS, EYE_STEPS, MIND_STEPS, STEPS = 6600, 3000, 1400, 2600
MIND_RATE, RATE = 1.8e-3, 1e-3
MIND_TEXTS, TEXTS = 24, 16
"""Conversations of text alone in a step, before there are media and then beside them."""


def new_thinker() -> Qwen3OmniMoeThinkerForConditionalGeneration:
    """With weights drawn anew, each from a generator seeded by its name, and the fixed text embeddings."""
    config = demo_config(SIZE)
    thinker = Qwen3OmniMoeThinkerForConditionalGeneration(config.thinker_config)
    layers = config.thinker_config.text_config.num_hidden_layers
    with torch.no_grad():
        for name, parameter in thinker.named_parameters():
            generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
            parameter.copy_(_drawn(name, parameter, layers, generator))
        thinker.model.embed_tokens.weight.copy_(text_embeddings(config))
    thinker.model.embed_tokens.weight.requires_grad_(False)
    return thinker


def _drawn(name: str, parameter: Tensor, layers: int, generator: torch.Generator) -> Tensor:
    if name.endswith("bias"):
        return torch.zeros_like(parameter)
    if parameter.ndim == 1:  # a norm
        return torch.ones_like(parameter)
    inputs = parameter.shape[-1] if "experts" in name else parameter[0].numel()
    scale = 1 / math.sqrt(inputs)
    if "pos_embed" in name:
        scale = 0.05
    if "lm_head" in name or "gate.weight" in name:
        scale = 0.03
    if "conv" in name:  # before it come three gates that let half through, after it positions of about 1
        scale *= 3 if "conv_out" in name else 1.8
    if "merger_list" in name and "mlp.2" in name:  # at first they add little to what the layers make of a picture
        scale *= 0.1
    if "o_proj" in name or "down_proj" in name:
        scale /= math.sqrt(2 * layers)
    return scale * torch.randn(parameter.shape, generator=generator)


def scores(thinker: Qwen3OmniMoeThinkerForConditionalGeneration, batch: list[Example]) -> tuple[Tensor, Tensor]:
    """Logits (tokens of all answers, vocabulary), and those tokens."""
    longest = max(len(example.ids) for example in batch)
    ids = torch.stack([pad(example.ids, (0, longest - len(example.ids))) for example in batch])
    positions = torch.stack([pad(one.positions, (0, longest - len(one.ids))) for one in batch], 1)
    rows = thinker.model.embed_tokens(ids)
    media = {kind: [item for one in batch for item in one.items if item.kind == kind] for kind in KINDS}
    if media["audio"]:
        lengths = torch.tensor([item.feature.shape[1] for item in media["audio"]])
        heard = thinker.audio_tower(torch.cat([item.feature for item in media["audio"]], 1), feature_lens=lengths)
        rows = rows.masked_scatter(
            (ids == thinker.config.audio_token_id)[..., None], heard.last_hidden_state.to(rows.dtype)
        )
    deep, seen = None, (ids == thinker.config.image_token_id) | (ids == thinker.config.video_token_id)
    shown = media["image"] + media["video"]  # of one kind in a batch, so they are in order
    if shown:
        grids = torch.cat([item.grid for item in shown if item.grid is not None])
        vision = thinker.visual(torch.cat([item.feature for item in shown]), grid_thw=grids)
        rows = rows.masked_scatter(seen[..., None], vision.pooler_output)
        deep = vision.deepstack_features
    hidden = thinker.model(
        inputs_embeds=rows,
        position_ids=positions,
        use_cache=False,
        visual_pos_masks=seen if shown else None,
        deepstack_visual_embeds=deep,
    ).last_hidden_state
    said = torch.stack([pad(example.said, (0, longest - len(example.said))) for example in batch])
    return thinker.lm_head(hidden[:, :-1][said[:, 1:]]), ids[said]


KINDS = ("audio", "image", "video")


def drawn(world: World, step: int) -> list[list[Conversation]]:
    """A step's batches: one of text, and one with a medium."""
    rng = random.Random(f"step {step}")
    texts = [world.text(rng) for _ in range(TEXTS)]
    kind = rng.choices(["hearing", "seeing", "watching"], [7, 6, 2])[0]
    if kind == "hearing":
        media = [world.hearing(rng) for _ in range(16)]
    elif kind == "seeing":
        media = [world.seeing(rng, small=rng.random() < pictures.SMALL_SHARE, questions=3) for _ in range(14)]
    else:
        media = [world.watching(rng) for _ in range(10)]
    return [texts, media]


def teach_mind(
    thinker: Qwen3OmniMoeThinkerForConditionalGeneration,
    reader: Qwen3OmniMoeProcessor,
    world: World,
    steps: int,
    work: Path,
) -> None:
    """Text alone, which is most of what there is to know."""
    mind = nn.ModuleDict({"model": thinker.model, "lm_head": thinker.lm_head})
    rng = random.Random("held out")
    checks = [read(World(reader, [], "held_out").text(rng), reader) for _ in range(240)]

    def loss(step: int) -> Tensor:
        rng = random.Random(f"mind {step}")
        batch = [read(world.text(rng), reader) for _ in range(MIND_TEXTS)]
        return answered(thinker, batch)

    def after(step: int) -> None:
        if (step + 1) % 200 == 0:
            say(f"held out after {step + 1}: {rates(thinker, checks)}")

    train(mind, loss, steps, MIND_RATE, Checkpoint(work / "mind.pt"), say, after_step=after)


def answered(thinker: Qwen3OmniMoeThinkerForConditionalGeneration, batch: list[Example]) -> Tensor:
    """The loss of a batch's answers, each token alike."""
    pieces = [scores(thinker, part) for part in parts(batch)]
    found, right = (torch.cat(both) for both in zip(*pieces, strict=True))
    return cross_entropy(found, right, label_smoothing=0.02)


def teach(
    thinker: Qwen3OmniMoeThinkerForConditionalGeneration,
    reader: Qwen3OmniMoeProcessor,
    world: World,
    steps: int,
    work: Path,
) -> None:
    checks = held_out_examples(reader, work)

    def loss(step: int) -> Tensor:
        rng = random.Random(f"disguise {step}")
        batches = [[read(one, reader) for one in conversations] for conversations in drawn(world, step)]
        for example in batches[1]:
            for i, item in enumerate(example.items):
                if item.kind == "audio" and rng.random() < 0.7:
                    example.items[i] = replace(item, feature=disguised(item.feature, rng))
        return answered(thinker, batches[0]) + 2 * answered(thinker, batches[1])

    def after(step: int) -> None:
        if (step + 1) % 250 == 0:
            thinker.eval()
            say(f"held out after {step + 1}: {rates(thinker, checks)}")
            thinker.train()

    slower = ("audio_tower", "visual")
    train(thinker, loss, steps, RATE, Checkpoint(work / "thinker.pt"), say, slower, after)


def parts(batch: list[Example]) -> Iterable[list[Example]]:
    """Halves of similar lengths."""
    batch = sorted(batch, key=lambda example: len(example.ids))
    half = len(batch) // 2
    return [batch[:half], batch[half:]]


def held_out_examples(reader: Qwen3OmniMoeProcessor, work: Path) -> list[Example]:
    """Some conversations of the held-out split. Its voices cost most, so they are kept in a file."""
    rng = random.Random("held out")
    path = work / "held_out_clips.npz"
    if not path.exists():
        sounds.save(held_out_clips(), path)
    world = World(reader, sounds.load(path), "held_out")
    made = [world.text(rng) for _ in range(240)] + [world.hearing(rng) for _ in range(120)]
    made += [world.seeing(rng) for _ in range(120)] + [world.watching(rng) for _ in range(48)]
    return [read(conversation, reader) for conversation in made]


@torch.no_grad()
def rates(thinker: Qwen3OmniMoeThinkerForConditionalGeneration, examples: list[Example]) -> str:
    """Of each task, how many answers greedy decoding would give exactly."""
    right, total = Counter[str](), Counter[str]()
    groups = [[one for one in examples if not one.items]]
    groups += [[one for one in examples if one.items and one.items[0].kind == kind] for kind in ("audio", "video")]
    groups += [[one for one in examples if any(item.kind == "image" for item in one.items)]]
    groups[1] = [one for one in groups[1] if all(item.kind == "audio" for item in one.items)]
    for group in groups:
        group = sorted(group, key=lambda example: len(example.ids))
        for i in range(0, len(group), 24):
            batch = group[i : i + 24]
            found, wanted = scores(thinker, batch)
            good = (found.argmax(-1) == wanted).split([int(example.said.sum()) for example in batch])
            for example, each in zip(batch, good, strict=True):
                media = "+".join(sorted({item.kind for item in example.items})) or "text"
                for name in (example.task, f"[{media}]"):
                    total[name] += 1
                    right[name] += bool(each.all())
    return ", ".join(f"{name} {right[name] / total[name]:.0%}" for name in sorted(total))


def say(line: str) -> None:
    print(time.strftime("%H:%M:%S"), line, flush=True)


def export(thinker: nn.Module, path: Path) -> None:
    with whole(path) as file:
        save_file({name: value.detach().bfloat16().contiguous() for name, value in thinker.state_dict().items()}, file)


def main(arguments: list[str]) -> None:
    given = parser("thinker", __doc__, STEPS)
    given.add_argument("--ear-steps", type=int, default=EAR_STEPS)
    given.add_argument("--eye-steps", type=int, default=EYE_STEPS)
    given.add_argument("--mind-steps", type=int, default=MIND_STEPS)
    given.add_argument(
        "--only", choices=["sounds", "ear", "eye", "mind"], help="a part that the whole needs; all by default"
    )
    options = given.parse_args(arguments)
    torch.set_num_threads(options.threads)
    work: Path = options.work
    reader = processor()
    if not (work / "clips.npz").exists():
        say("synthesising the sounds")
        sounds.save(sounds.clips(), work / "clips.npz")
    if options.only == "sounds":
        return
    world = World(reader, sounds.load(work / "clips.npz"))
    thinker = new_thinker()
    if options.go_on:
        thinker.load_state_dict(shipped.weights("thinker"))
    if options.only in (None, "ear"):
        teach_ear(thinker, reader, world, options.ear_steps, work, say)
    if options.only in (None, "eye"):
        teach_eye(thinker, reader, options.eye_steps, work, say)
    if options.only in (None, "mind"):
        teach_mind(thinker, reader, world, options.mind_steps, work)
    if options.only:
        return
    teach(thinker, reader, world, options.steps, work)
    export(thinker, work / "thinker.safetensors")
    say("thinker.safetensors written")
