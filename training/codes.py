"""A frame of speech as codes: the encoder that only training needs.

Three groups spell the synthesiser's phones exactly, one tells where the voice's pulses are, and the rest what is left
of the spectrum once these are known: a residual quantiser (Zeghidour et al. 2021, "SoundStream", section III.C), each
stage of which is k-means. That the first codes of a frame be about content is from Zhang et al. 2023,
"SpeechTokenizer"; here the synthesiser itself says what it is saying. A talker has little to guess of such codes, and a
decoder can be taught before there is a talker.

Every voice has its own half of the codes for pulses, so each frame tells whose it is.
"""

import math
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm
from transformers import Qwen3OmniMoeConfig

from sglang_omni.models.qwen3_omni.demo import demo_config
from training import shipped
from training.clusters import k_means
from training.mel import LogMel
from training.parts import SIZE, parser, whole
from training.speech import FRAME, SAMPLE_RATE, VOICES, Phones, Utterance, read_speech
from training.vocabulary import tokenizer

NAMES = "pau aa ae ah ao aw ax ay b ch d dh eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh t th uh uw v w y z zh"
PHONES = NAMES.split(" ")
MOMENTS = 8
"""In which a frame's phones are looked at, 10 ms each."""
SPELLING = 3
"""Groups that spell phones; then come pulses."""

STEPS = 4
"""In which a frame's voice and spectrum are looked at, 20 ms each."""
HOP = FRAME // STEPS
BANDS = 40
BESIDE = 6
"""Moments on both sides of a frame whose phones say what its spectrum is likely to be."""

LEARNED_FROM = 3000
"""Utterances."""


def held(phones: Phones, frames: int, beside: int = 0) -> Tensor:
    """(frames, beside + MOMENTS + beside) indices into PHONES."""
    ends = torch.tensor([end for _, end in phones], dtype=torch.float64)
    moments = torch.arange(-beside, frames * MOMENTS + beside, dtype=torch.float64)
    times = (moments + 0.5) * FRAME / SAMPLE_RATE / MOMENTS
    at = torch.searchsorted(ends, times).clamp_max(len(ends) - 1)
    labels = torch.tensor([PHONES.index(phone) for phone, _ in phones])[at]
    return labels.unfold(0, MOMENTS + 2 * beside, MOMENTS)


def spelled(labels: Tensor) -> Tensor:
    """All of an utterance (frames, MOMENTS) -> codes (frames, SPELLING).

    The first code is the phone in which a frame ends, and whether it began early, late or not within the frame; the
    second is the phone before that, if it began here too, and whether early or late; the third is when exactly both
    began. The phone in which a frame begins is the one in which the frame before ended.
    """
    last = labels[:, -1]
    earlier = torch.cat([labels[:1, 0], last[:-1]])
    moments = torch.arange(MOMENTS)
    began = torch.where(labels != last[:, None], moments + 1, 0).amax(1)  # 0: with this frame, or before
    before = labels.gather(1, (began - 1).clamp_min(0)[:, None])[:, 0]
    others = (labels != before[:, None]) & (moments < began[:, None])
    before_began = torch.where(others, moments + 1, 0).amax(1)
    is_new = (began > 0) & ((before_began > 0) | (before != earlier))
    when = (began > 0).long() + (began > MOMENTS // 2)
    middle = torch.where(is_new, 1 + 2 * before + (before_began > 3).long(), 0)
    return torch.stack([3 * last + when, middle, MOMENTS * began + before_began], 1)


def beats(waveform: Tensor, hertz: float) -> Tensor:
    """(frames * 1920,) -> (frames, STEPS, 3): whether there is a voice of so many Hertz, and the sine and cosine of
    where its fundamental is; all nought where there is none.

    There is one where the sound is like itself one period later.
    """
    window, period = 2 * HOP, round(SAMPLE_RATE / hertz)
    padded = F.pad(waveform, (window // 4, window + period))
    pieces = padded.unfold(0, window + period, HOP)[: len(waveform) // HOP]
    now, later = pieces[:, :window], pieces[:, period:]
    power = (now.square().mean(1) * later.square().mean(1)).sqrt()
    voiced = ((now * later).mean(1) > 0.5 * power) & (power > 1e-6)
    turns = hertz * torch.arange(HOP * len(pieces)).unfold(0, HOP, HOP)[:, :1] / SAMPLE_RATE
    angles = 2 * math.pi * (turns + hertz * (torch.arange(window) - window // 4) / SAMPLE_RATE)
    seen = now * torch.hann_window(window)
    sine, cosine = (seen * angles.sin()).sum(1), (seen * angles.cos()).sum(1)
    size = torch.hypot(sine, cosine) + 1e-6
    return (torch.stack([torch.ones_like(size), sine / size, cosine / size], 1) * voiced[:, None]).view(-1, STEPS, 3)


class Encoder(nn.Module):
    """Learned by counting alone, from some utterances; see `learn`."""

    def __init__(self, groups: int, size: int):
        super().__init__()
        self.mel = LogMel(1024, HOP, BANDS)
        context = len(PHONES) * (MOMENTS + 2 * BESIDE) + 3 * STEPS + 1
        self.beats = nn.Buffer(torch.zeros(len(VOICES), size // len(VOICES), 3 * STEPS))
        self.likely = nn.Buffer(torch.zeros(len(VOICES), context, BANDS * STEPS))
        self.left = nn.Buffer(torch.zeros(groups - SPELLING - 1, size, BANDS * STEPS))

    @torch.no_grad()
    def learn(self, utterances: list[Utterance]) -> None:
        torch.manual_seed(0)
        left = []
        for voice, name in enumerate(VOICES):
            own = [u for u in utterances if u.voice == name]
            seen = [_beats(u) for u in own]
            self.beats[voice] = k_means(_some(torch.cat(seen)), self.beats.shape[1])
            given = torch.cat([self._given(u, beat) for u, beat in zip(own, seen, strict=True)])
            spectra = torch.cat([self._spectrum(torch.from_numpy(u.waveform)) for u in own])
            square = given.T @ given + 10 * torch.eye(given.shape[1])
            self.likely[voice] = torch.linalg.solve(square, given.T @ spectra)
            left.append(_some(spectra - given @ self.likely[voice]))
        rest = torch.cat(left)
        for rows in self.left:
            rows.copy_(k_means(rest, len(rows)))
            rest = rest - rows[torch.cdist(rest, rows).argmin(1)]

    @torch.no_grad()
    def forward(self, utterance: Utterance) -> Tensor:
        """Codes (frames, groups)."""
        waveform, voice = torch.from_numpy(utterance.waveform), list(VOICES).index(utterance.voice)
        beat = _beats(utterance)
        spelling = spelled(held(utterance.phones, len(beat)))
        beaten = torch.cdist(beat, self.beats[voice]).argmin(1) + voice * self.beats.shape[1]
        rest, codes = self._spectrum(waveform) - self._given(utterance, beat) @ self.likely[voice], []
        for rows in self.left:
            codes.append(torch.cdist(rest, rows).argmin(1))
            rest = rest - rows[codes[-1]]
        return torch.cat([spelling, torch.stack([beaten, *codes], 1)], 1)

    def _given(self, utterance: Utterance, beat: Tensor) -> Tensor:
        """(frames, context): the phones around, the voice, and one."""
        marks = F.one_hot(held(utterance.phones, len(beat), BESIDE), len(PHONES)).float().flatten(1)
        return torch.cat([marks, beat, torch.ones(len(beat), 1)], 1)

    def _spectrum(self, waveform: Tensor) -> Tensor:
        """(frames, bands * STEPS)"""
        bands = self.mel(waveform[None])[0, :, : len(waveform) // HOP].clamp_min(-7)
        return bands.T.reshape(-1, STEPS * BANDS)


def _beats(utterance: Utterance) -> Tensor:
    """(frames, 3 * STEPS)"""
    return beats(torch.from_numpy(utterance.waveform), VOICES[utterance.voice].heard).flatten(1)


def _some(rows: Tensor, count: int = 30_000) -> Tensor:
    return rows[torch.randperm(len(rows))[:count]]


@dataclass(frozen=True)
class Spoken:
    """One utterance: token ids, codes (frames, groups), and the codec id of its voice."""

    text: list[int]
    codes: Tensor
    voice: int


def read_encoder(config: Qwen3OmniMoeConfig, work: Path, go_on: bool = False) -> Encoder:
    """Learned once, and kept in `encoder.safetensors`; to `go_on` is to take the one that is shipped."""
    code2wav, file = config.code2wav_config, shipped.ENCODER if go_on else work / "encoder.safetensors"
    encoder = Encoder(code2wav.num_quantizers, code2wav.codebook_size)
    if not file.exists():
        encoder.learn(list(islice(read_speech(work), LEARNED_FROM)))
        with whole(file) as begun:
            save_file({name: value.half() for name, value in encoder.state_dict().items()}, begun)
    encoder.load_state_dict(load_file(file))
    return encoder


def encode_speech(config: Qwen3OmniMoeConfig, work: Path, go_on: bool = False) -> list[Spoken]:
    """What was synthesised, as codes; made once and kept in `codes.pt`."""
    file = work / "codes.pt"
    if not file.exists():
        encoder, speakers = read_encoder(config, work, go_on), config.talker_config.speaker_id
        encode, made = tokenizer().encode, []
        for utterance in tqdm(read_speech(work), desc="codes", mininterval=5):
            codes = encoder(utterance).to(torch.int16)
            made.append((encode(utterance.text).ids, codes, speakers[utterance.voice]))
        with whole(file) as begun:
            torch.save(made, begun)
    return [Spoken(text, codes.long(), voice) for text, codes, voice in torch.load(file)]


def main(arguments: list[str]) -> None:
    given = parser("codes", __doc__).parse_args(arguments)
    torch.set_num_threads(1)
    encode_speech(demo_config(SIZE), given.work, given.go_on)
