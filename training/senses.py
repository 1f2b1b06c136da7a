"""The thinker's ear and eye, taught alone before the whole: far cheaper steps, and labels that say where things are.

What reads their outputs here is thrown away; the whole model is then trained on answers alone.
"""

import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, ctc_loss
from transformers import Qwen3OmniMoeProcessor, Qwen3OmniMoeThinkerForConditionalGeneration

from training import pictures
from training.dialogue import COLOURS, NUMBERS, SHAPES
from training.examples import World, mel, patches
from training.loop import Checkpoint, train
from training.sounds import SPOKEN

WORDS = sorted({word for phrase in (*SPOKEN, *NUMBERS[:10]) for word in phrase.split()})
SOUNDS = PICTURES = 32
"""Of a batch."""

HURRIED = 0.6
"""Share of the sounds whose pace is changed."""

SINGLE_WORDS = 150
"""Steps in which an ear hears single words, and then pairs: where words begin is hard to find in long sentences."""


class Ear(nn.Module):
    """The audio tower and what spells the words it hears, one of `WORDS` or none in each 80 ms."""

    def __init__(self, thinker: Qwen3OmniMoeThinkerForConditionalGeneration):
        super().__init__()
        self.tower = thinker.audio_tower
        self.words = nn.Linear(thinker.config.text_config.hidden_size, len(WORDS) + 1)

    def forward(self, sounds: list[Tensor]) -> tuple[Tensor, Tensor]:
        """From spectrograms (mel bins, frames) to log-probabilities (time, sounds, words + 1) and lengths (sounds,)."""
        lengths = torch.tensor([sound.shape[1] for sound in sounds])
        rows = self.tower(torch.cat(sounds, 1), feature_lens=lengths).last_hidden_state
        counts = torch.tensor([_rows(int(length)) for length in lengths])
        scores = self.words(rows).log_softmax(-1).split(counts.tolist())
        return nn.utils.rnn.pad_sequence(list(scores)), counts


def _rows(frames: int) -> int:
    """How many rows the tower makes of so many frames: 13 of each whole 100."""
    return 13 * (frames // 100) + (frames % 100 + 7) // 8


def spelled(scores: Tensor, lengths: Tensor) -> list[str]:
    """The likeliest words."""
    best = scores.argmax(-1).T.tolist()
    rows = [row[:length] for row, length in zip(best, lengths.tolist(), strict=True)]
    return [" ".join(WORDS[b - 1] for a, b in pairwise([0, *row]) if b and a != b) for row in rows]


class Eye(nn.Module):
    """The vision tower and what tells of every 32 x 32 pixels how many objects have their centre there; and, where some
    of an object is, its colour and shape and how many there are in all, so that who reads one token need not count."""

    MOST_HERE, MOST = 3, 5

    def __init__(self, thinker: Qwen3OmniMoeThinkerForConditionalGeneration):
        super().__init__()
        self.tower = thinker.visual
        self.sizes = [self.MOST_HERE + 1, len(COLOURS), len(SHAPES), self.MOST]
        self.head = nn.Linear(thinker.config.text_config.hidden_size, sum(self.sizes))

    def forward(self, values: Tensor, grids: Tensor) -> tuple[Tensor, ...]:
        """Scores (tokens, ...) of the number here, the colour, the shape and the number in all."""
        rows = self.tower(values, grid_thw=grids).pooler_output
        return self.head(rows).split(self.sizes, -1)


def _centres(seen: pictures.Picture, grid: Tensor) -> Tensor:
    """How many centres lie in each of a picture's tokens."""
    _, height, width = (grid[0] // torch.tensor([1, 2, 2])).tolist()
    count = torch.zeros(height, width, dtype=torch.long)
    for x, y, _ in seen.places:
        count[int(y / seen.image.height * height), int(x / seen.image.width * width)] += 1
    return count.flatten().clamp_max(Eye.MOST_HERE)


def _touched(seen: pictures.Picture, grid: Tensor) -> Tensor:
    """Which of a picture's tokens show some of an object: an edge or a corner tells its shape from near."""
    _, height, width = (grid[0] // torch.tensor([1, 2, 2])).tolist()
    down = (torch.arange(height) + 0.5)[:, None] * seen.image.height / height
    across = (torch.arange(width) + 0.5) * seen.image.width / width
    near = [(down - y).square() + (across - x).square() < (radius + 10) ** 2 for x, y, radius in seen.places]
    return torch.stack(near).any(0).flatten()


def teach_ear(
    thinker: Qwen3OmniMoeThinkerForConditionalGeneration,
    reader: Qwen3OmniMoeProcessor,
    world: World,
    steps: int,
    work: Path,
    say: Callable[[str], None] = print,
) -> None:
    torch.manual_seed(1)
    ear = Ear(thinker)

    def loss(step: int) -> Tensor:
        rng = random.Random(f"ear {step}")
        longest = 1 if step < SINGLE_WORDS else 2 if step < 2 * SINGLE_WORDS else 9
        drawn = sorted((world.sound(rng, longest) for _ in range(SOUNDS)), key=lambda one: len(one[1]))
        heard = [disguised(mel(sound, reader), rng) for _, sound in drawn]
        scores, lengths = ear(heard)
        targets = [[WORDS.index(word) + 1 for word in words.split()] for words, _ in drawn]
        if step % 100 == 0:
            right = sum(a == b for a, (b, _) in zip(spelled(scores, lengths), drawn, strict=True))
            say(f"ear {step}: {right / SOUNDS:.0%} of the batch's sounds right")
        flat = torch.tensor([word for target in targets for word in target])
        return ctc_loss(scores, flat, lengths, torch.tensor([len(t) for t in targets]), zero_infinity=True)

    train(ear, loss, steps, 1.5e-3, Checkpoint(work / "ear.pt"), say)


def disguised(sound: Tensor, rng: random.Random) -> Tensor:
    """A spectrogram (mel bins, frames) as of another speaker, now faster and now slower, with a few bands and moments
    hidden (Jaitly and Hinton 2013, "Vocal tract length perturbation"; Park et al. 2019, "SpecAugment")."""
    bins, frames = sound.shape
    sound = _between(sound, torch.arange(bins) * rng.uniform(0.92, 1.08) + rng.uniform(-5, 5))
    if rng.random() < HURRIED:
        sound = _between(sound.T, _hurried(frames, rng)).T
    low = sound.min()
    for _ in range(rng.randint(0, 2)):
        width = rng.randint(1, 14)
        start = rng.randint(0, bins - width)
        sound[start : start + width] = low
    for _ in range(rng.randint(0, 2)):
        start = rng.randint(0, sound.shape[1] - 8)
        sound[:, start : start + rng.randint(1, 7)] = low
    return sound


def _between(rows: Tensor, at: Tensor) -> Tensor:
    """Rows at these places, of which those between two rows are between them too."""
    at = at.clamp(0, len(rows) - 1)
    below = at.long().clamp_max(len(rows) - 2)
    return torch.lerp(rows[below], rows[below + 1], (at - below)[:, None])


def _hurried(frames: int, rng: random.Random) -> Tensor:
    """Where each of so many frames (10 ms) is taken from when a speaker's pace changes every 200 ms, by about a third
    at most. The first and the last stay."""
    paces = torch.tensor([rng.uniform(-0.3, 0.3) for _ in range(frames // 20 + 2)]).exp()
    way = nn.functional.interpolate(paces[None, None], size=frames, mode="linear", align_corners=True)[0, 0].cumsum(0)
    return (way - way[0]) / (way[-1] - way[0]) * (frames - 1)


def teach_eye(
    thinker: Qwen3OmniMoeThinkerForConditionalGeneration,
    reader: Qwen3OmniMoeProcessor,
    steps: int,
    work: Path,
    say: Callable[[str], None] = print,
) -> None:
    torch.manual_seed(2)
    eye = Eye(thinker)

    def loss(step: int) -> Tensor:
        rng = random.Random(f"eye {step}")
        seen = [pictures.picture(rng, small=rng.random() < pictures.SMALL_SHARE) for _ in range(PICTURES)]
        values, grids = zip(*(patches(one.image, reader) for one in seen), strict=True)
        centres = [_centres(one, grid) for one, grid in zip(seen, grids, strict=True)]
        here, *scores = eye(torch.cat(values), torch.cat(grids))
        told = [(COLOURS.index(one.colour), SHAPES.index(one.shape), one.number - 1) for one in seen]
        tokens = torch.tensor([len(one) for one in centres])
        there = torch.cat([_touched(one, grid) for one, grid in zip(seen, grids, strict=True)])
        scores = [part[there] for part in scores]
        right = torch.tensor(told).repeat_interleave(tokens, 0)[there].unbind(1)
        if step % 100 == 0:
            rates = [float((a.argmax(-1) == b).float().mean()) for a, b in zip(scores, right, strict=True)]
            say(f"eye {step}: colour {rates[0]:.0%}, shape {rates[1]:.0%}, number {rates[2]:.0%} right")
        losses = [cross_entropy(a, b) for a, b in zip(scores, right, strict=True)]
        return 3 * cross_entropy(here, torch.cat(centres)) + sum(losses, torch.zeros(()))

    deep, thinker.visual.deepstack_visual_indexes = thinker.visual.deepstack_visual_indexes, []  # nobody reads them yet
    train(eye, loss, steps, 1.5e-3, Checkpoint(work / "eye.pt"), say)
    thinker.visual.deepstack_visual_indexes = deep
