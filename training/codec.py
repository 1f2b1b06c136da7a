"""The codec: an encoder that only training needs, a residual quantiser, and the family's code2wav as the decoder.

It is learned in two stages. First it codes sound, as codecs do. Then the first groups of codes say which phones a frame
holds (see phones.py), and the quantiser codes what is left of the sound in the others. Of these a part is withheld now
and then (quantiser dropout: "SoundStream", section III.C), so that phones alone are understood: what a small talker
guesses wrong of the rest does little harm.

Quantiser: k-means start, then exponential moving averages (van den Oord et al. 2017, "Neural discrete representation
learning", appendix A; Zeghidour et al. 2021, "SoundStream", section III.C). Loss: spectrograms at several resolutions
(Yamamoto et al. 2020, "Parallel WaveGAN"), on mel bands.
"""

import math
import shutil
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Qwen3OmniMoeConfig
from transformers.models.qwen3_omni_moe.modeling_qwen3_omni_moe import Qwen3OmniMoeCode2Wav, Qwen3OmniMoeSnakeBeta

from sglang_omni.models.qwen3_omni.demo import demo_config
from training import phones
from training.clusters import k_means
from training.loop import Checkpoint, train
from training.parts import SIZE, parser
from training.phones import PhoneticCodes
from training.speech import FRAME, SAMPLE_RATE, Utterance, read_speech

STEPS, PHONETIC_STEPS = 9000, 4500
UTTERANCES = 3000
"""From which the codec learns, the first of those that were made."""

CROPS, CROP = 2, 16
"""Pieces of a batch, and frames of a piece."""

WITHOUT_QUANTISER = 0.15
"""Share of the steps before the quantiser comes in between."""

WITHHELD = 0.5
"""Share of the pieces of which some groups of the quantiser are withheld."""

RESOLUTIONS = (512, 40), (1024, 80), (2048, 128)
"""Samples of a window, and mel bands."""

STAYS = "encoder.", "decoder."
"""Parts of the codec that the second stage goes on with."""

ENCODER_HOP = FRAME // 4
PEAK_RATE = 1e-3


class LogMel(nn.Module):
    """Logarithm of mel bands' magnitudes from 0 to 12 kHz: (batch, samples) -> (batch, bands, steps)."""

    def __init__(self, window: int, hop: int, bands: int):
        super().__init__()
        self.window_length, self.hop = window, hop
        self.window = nn.Buffer(torch.hann_window(window), persistent=False)
        self.bands = nn.Buffer(_mel_bands(window, bands), persistent=False)

    def magnitudes(self, x: Tensor) -> Tensor:
        spectrum = torch.stft(x, self.window_length, self.hop, window=self.window, return_complex=True)
        return torch.view_as_real(spectrum).square().sum(-1).add(1e-9).sqrt()

    def log(self, magnitudes: Tensor) -> Tensor:
        return torch.log(self.bands @ magnitudes + 1e-4)

    def forward(self, x: Tensor) -> Tensor:
        return self.log(self.magnitudes(x))


def _mel_bands(window: int, bands: int) -> Tensor:
    """(bands, window / 2 + 1) triangles, equally wide in mel."""
    top = 2595 * math.log10(1 + SAMPLE_RATE / 2 / 700)
    edges = 700 * (10 ** (torch.linspace(0, top, bands + 2) / 2595) - 1)
    frequencies = torch.linspace(0, SAMPLE_RATE / 2, window // 2 + 1)
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return torch.minimum((frequencies - low) / (middle - low), (high - frequencies) / (high - middle)).clamp_min(0)


class Encoder(nn.Module):
    """(batch, frames * 1920) -> (batch, frames, hidden): a mel spectrogram at 50 Hz, halved twice. Not causal."""

    def __init__(self, hidden: int):
        super().__init__()
        self.mel = LogMel(FRAME, ENCODER_HOP, 80)
        self.first = nn.Conv1d(80, hidden, 3, padding=1)
        self.halve = nn.ModuleList(nn.Conv1d(hidden, hidden, 4, stride=2, padding=1) for _ in range(2))
        self.residual = nn.ModuleList(nn.Conv1d(hidden, hidden, 3, padding=1) for _ in range(3))
        self.last = nn.Conv1d(hidden, hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = F.gelu(self.first(self.mel(x)[..., : x.shape[-1] // ENCODER_HOP] / 4 + 1))
        for layer in self.halve:
            h = F.gelu(layer(h))
        for layer in self.residual:
            h = h + F.gelu(layer(h))
        return self.last(h).transpose(1, 2)


class Quantiser(nn.Module):
    """(batch, frames, hidden) as the sum of one row of each of `groups` codebooks."""

    DECAY, FORGOTTEN = 0.99, 0.02

    def __init__(self, groups: int, size: int, hidden: int):
        super().__init__()
        self.rows = nn.Buffer(torch.zeros(groups, size, hidden))
        self.uses = nn.Buffer(torch.ones(groups, size))
        self.sums = nn.Buffer(torch.zeros(groups, size, hidden))

    @torch.no_grad()
    def start(self, latents: Tensor) -> None:
        """k-means on (n, hidden), codebook by codebook on what the ones before leave."""
        left = latents.clone()
        for group in range(len(self.rows)):
            rows = k_means(left, self.rows.shape[1])
            chosen = torch.cdist(left, rows).argmin(1)
            self.rows[group] = rows
            self.uses[group] = torch.bincount(chosen, minlength=len(rows)).clamp_min(1) * CROPS * CROP / len(left)
            self.sums[group] = rows * self.uses[group, :, None]
            left -= rows[chosen]

    def forward(self, latents: Tensor, kept: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Latents, quantised, with a straight-through gradient; codes (batch, frames, groups); the commitment loss.

        `kept` (batch,): of how many groups the sum is made, all by default.
        """
        if kept is None:
            kept = torch.full((len(latents),), len(self.rows))
        left = latents.detach().flatten(0, 1)
        partial, codes = torch.zeros_like(latents), []
        for group in range(len(self.rows)):
            chosen = torch.cdist(left, self.rows[group]).argmin(1)
            rows = self.rows[group][chosen]
            if self.training:
                self._learn(group, left, chosen)
            codes.append(chosen)
            left = left - rows
            partial = partial + rows.view_as(latents) * (group < kept)[:, None, None]
        loss = F.mse_loss(latents, latents.detach() - left.view_as(latents))
        through = latents * (kept > 0)[:, None, None]
        codes = torch.stack(codes, 1).view(*latents.shape[:2], -1)
        return through + (partial - through).detach(), codes, loss

    @torch.no_grad()
    def _learn(self, group: int, seen: Tensor, chosen: Tensor) -> None:
        uses, sums, rows = self.uses[group], self.sums[group], self.rows[group]
        uses.mul_(self.DECAY).add_(torch.bincount(chosen, minlength=len(uses)), alpha=1 - self.DECAY)
        sums.mul_(self.DECAY).index_add_(0, chosen, seen, alpha=1 - self.DECAY)
        rows.copy_(sums / uses.clamp_min(1e-3)[:, None])
        forgotten = (uses < self.FORGOTTEN).nonzero().flatten()
        if len(forgotten):  # begin again where a latent is
            rows[forgotten] = seen[torch.randint(len(seen), (len(forgotten),))]
            uses[forgotten] = 0.2
            sums[forgotten] = rows[forgotten] * 0.2


class Codec(nn.Module):
    """`phonetic` groups come first; without any, as in the first stage, the quantiser has all of them."""

    def __init__(self, config: Qwen3OmniMoeConfig, phonetic: int = phones.GROUPS):
        super().__init__()
        code2wav = config.code2wav_config
        hidden, size = code2wav.hidden_size, code2wav.codebook_size
        self.encoder = Encoder(hidden)
        self.phonetic = PhoneticCodes(size)
        self.spoken = nn.Parameter(torch.zeros(phonetic, size, hidden))
        self.quantiser = Quantiser(code2wav.num_quantizers - phonetic, size, hidden)
        self.decoder = Qwen3OmniMoeCode2Wav(code2wav)
        for name, parameter in self.decoder.named_parameters():
            if name.endswith("scale"):  # of a transformer's layer; the reference starts at 0.01
                nn.init.constant_(parameter, 0.3)
            elif name.endswith("gamma"):
                nn.init.constant_(parameter, 0.1)

    def encode(self, waveform: Tensor, labels: Tensor) -> Tensor:
        """(frames * 1920,) and the phones held (frames, moments) -> codes (frames, groups)."""
        phonetic = self.phonetic(labels)
        left = self.encoder(waveform[None]) - self.said(phonetic)
        return torch.cat([phonetic, self.quantiser(left)[1][0]], 1)

    def said(self, phonetic: Tensor) -> Tensor:
        """Phonetic codes (..., groups) -> latents (..., hidden)."""
        return _summed(self.spoken, phonetic)

    def latents(self, codes: Tensor) -> Tensor:
        """Codes (..., groups) -> latents (..., hidden)."""
        return _summed(self.rows, codes)

    @property
    def rows(self) -> Tensor:
        """All codebooks (groups, size, hidden)."""
        return torch.cat([self.spoken, self.quantiser.rows])

    def fast(self) -> None:
        """Compiles what costs most and is no matrix product, where there is a compiler; to be called once."""
        if shutil.which("g++") is None:
            return
        for module in self.decoder.modules():
            if isinstance(module, Qwen3OmniMoeSnakeBeta):
                module.compile(dynamic=True)

    def decode(self, latents: Tensor) -> Tensor:
        """(batch, frames, hidden) -> (batch, samples): what code2wav does once codes are embedded."""
        h = self.decoder.pre_transformer(inputs_embeds=latents).last_hidden_state.transpose(1, 2)
        for blocks in self.decoder.upsample:
            for block in blocks:
                h = block(h)
        for block in self.decoder.decoder:
            h = block(h)
        return h[:, 0]

    def forward(self, waveform: Tensor, phonetic: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        """The sound again, and the commitment loss. `phonetic` (batch, frames, groups), `kept` (batch,)."""
        said = self.said(phonetic)
        left, _, commitment = self.quantiser(self.encoder(waveform) - said.detach(), kept)
        return self.decode(said + left), commitment

    @torch.no_grad()
    def code2wav(self) -> Qwen3OmniMoeCode2Wav:
        """The decoder with the codebooks in its embedding, of which the reference takes the mean."""
        rows = self.rows
        self.decoder.code_embedding.weight.copy_((rows * len(rows)).flatten(0, 1))
        return self.decoder


def _summed(rows: Tensor, codes: Tensor) -> Tensor:
    return torch.stack([table[code] for table, code in zip(rows, codes.unbind(-1), strict=True)]).sum(0)


class SpectralLoss(nn.Module):
    def __init__(self, resolutions: tuple[tuple[int, int], ...] = RESOLUTIONS):
        super().__init__()
        self.mels = nn.ModuleList(LogMel(window, window // 4, bands) for window, bands in resolutions)

    def forward(self, made: Tensor, wanted: Tensor) -> Tensor:
        total = torch.zeros(())
        for mel in self.mels:
            a, b = mel.magnitudes(made), mel.magnitudes(wanted)
            total = total + (mel.log(a) - mel.log(b)).abs().mean() + 0.5 * (a - b).norm() / (b.norm() + 1e-4)
        return total / len(self.mels)


def train_sound(config: Qwen3OmniMoeConfig, work: Path, steps: int) -> None:
    """The first stage. Writes `codec.pt`; goes on where an earlier run was cut off."""
    torch.manual_seed(0)
    sounds = [torch.from_numpy(u.samples.copy()) for u in _learned_from(work)]
    codec, loss_of = Codec(config, phonetic=0), SpectralLoss()
    codec.fast()
    begin = int(WITHOUT_QUANTISER * steps)

    def loss(step: int) -> Tensor:
        torch.manual_seed(step)
        if step == begin:
            with torch.no_grad():
                codec.quantiser.start(torch.cat([codec.encoder(sound[None] / 32768)[0] for sound in sounds[:400]]))
        wanted = torch.stack([_crop(sound) for sound in _some(sounds)])
        latents, commitment = codec.encoder(wanted), torch.zeros(())
        if step >= begin:
            latents, _, commitment = codec.quantiser(latents)
        made = codec.decode(latents)
        return loss_of(made, wanted[:, : made.shape[1]]) + 0.25 * commitment

    train(codec, loss, steps, PEAK_RATE, Checkpoint(work / "codec.pt"), betas=(0.8, 0.99))


def train_phonetic(config: Qwen3OmniMoeConfig, work: Path, steps: int) -> None:
    """The second stage, from the first one's encoder and decoder. Writes `phonetic_codec.pt`."""
    torch.manual_seed(0)
    codec, loss_of = Codec(config), SpectralLoss()
    codec.fast()
    sounds, labels = [], []
    for utterance in _learned_from(work):
        sounds.append(torch.from_numpy(utterance.samples.copy()))
        labels.append(phones.held(utterance.phones, len(sounds[-1]) // FRAME))
    codec.phonetic.start(torch.cat(labels))
    codes = [codec.phonetic(one) for one in labels]
    state = torch.load(work / "codec.pt")["model"]
    codec.load_state_dict({name: value for name, value in state.items() if name.startswith(STAYS)}, strict=False)
    with torch.no_grad():
        left = torch.cat([codec.encoder(sound[None] / 32768)[0] for sound in sounds[:1000]])
        for rows, chosen in zip(codec.spoken, torch.cat(codes[:1000]).unbind(1), strict=True):
            count = torch.bincount(chosen, minlength=len(rows)).clamp_min(1)
            rows.copy_(torch.zeros_like(rows).index_add_(0, chosen, left) / count[:, None])
            left = left - rows[chosen]
        codec.quantiser.start(left)
    groups = len(codec.quantiser.rows)

    def loss(step: int) -> Tensor:
        torch.manual_seed(step)
        crops = [crop(sound, code) for sound, code in _some(list(zip(sounds, codes, strict=True)))]
        wanted, phonetic = (torch.stack(parts) for parts in zip(*crops, strict=True))
        kept = torch.where(torch.rand(CROPS) < WITHHELD, torch.randint(groups, (CROPS,)), groups)
        made, commitment = codec(wanted, phonetic, kept)
        return loss_of(made, wanted[:, : made.shape[1]]) + 0.25 * commitment

    train(codec, loss, steps, PEAK_RATE, Checkpoint(work / "phonetic_codec.pt"), betas=(0.8, 0.99))


def _learned_from(work: Path) -> list[Utterance]:
    return [utterance for utterance, _ in zip(read_speech(work), range(UTTERANCES), strict=False)]


def _some(items: list[Any]) -> list[Any]:
    return [items[i] for i in torch.randint(len(items), (CROPS,)).tolist()]


def _crop(sound: Tensor) -> Tensor:
    return crop(sound, torch.zeros(len(sound) // FRAME, 0))[0]


def crop(sound: Tensor, codes: Tensor, frames: int = CROP) -> tuple[Tensor, Tensor]:
    """Some frames of an int16 sound as floats, and their codes (frames, groups)."""
    missing = max(0, frames - len(codes))
    sound = F.pad(sound, (0, missing * FRAME))
    codes = torch.cat([codes, codes[-1:].expand(missing, -1)])
    first = int(torch.randint(len(codes) - frames + 1, ()))
    last = first + frames
    return sound[first * FRAME : last * FRAME] / 32768, codes[first:last]


def read_codec(config: Qwen3OmniMoeConfig, work: Path) -> Codec:
    codec = Codec(config)
    codec.load_state_dict(torch.load(work / "phonetic_codec.pt")["model"])
    return codec.eval()


def main(arguments: list[str]) -> None:
    options = parser("codec", __doc__, STEPS)
    options.add_argument("--phonetic-steps", type=int, default=PHONETIC_STEPS)
    given = options.parse_args(arguments)
    torch.set_num_threads(given.threads)
    train_sound(demo_config(SIZE), given.work, given.steps)
    train_phonetic(demo_config(SIZE), given.work, given.phonetic_steps)
