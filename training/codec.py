"""The codec: an encoder that only training needs, a residual quantiser, and the family's code2wav as the decoder.

Quantiser: k-means start, then exponential moving averages (van den Oord et al. 2017, "Neural discrete representation
learning", appendix A; Zeghidour et al. 2021, "SoundStream", section III.C). Loss: spectrograms at several resolutions
(Yamamoto et al. 2020, "Parallel WaveGAN"), on mel bands.
"""

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Qwen3OmniMoeConfig
from transformers.models.qwen3_omni_moe.modeling_qwen3_omni_moe import Qwen3OmniMoeCode2Wav

from sglang_omni.models.qwen3_omni.demo import demo_config
from training.loop import Checkpoint, train
from training.parts import SIZE, parser
from training.speech import FRAME, SAMPLE_RATE, read_speech

STEPS = 9000
UTTERANCES = 3000
"""From which the codec learns, the first of those that were made."""

CROPS, CROP = 2, 16
"""Pieces of a batch, and frames of a piece."""

WITHOUT_QUANTISER = 0.15
"""Share of the steps before the quantiser comes in between."""

RESOLUTIONS = (512, 40), (1024, 80), (2048, 128)
"""Samples of a window, and mel bands."""

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
            rows = _k_means(left, self.rows.shape[1])
            chosen = torch.cdist(left, rows).argmin(1)
            self.rows[group] = rows
            self.uses[group] = torch.bincount(chosen, minlength=len(rows)).clamp_min(1) * CROPS * CROP / len(left)
            self.sums[group] = rows * self.uses[group, :, None]
            left -= rows[chosen]

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Latents, quantised, with a straight-through gradient; codes (batch, frames, groups); the commitment loss."""
        left = latents.detach().flatten(0, 1)
        quantised, codes = torch.zeros_like(left), []
        for group in range(len(self.rows)):
            chosen = torch.cdist(left, self.rows[group]).argmin(1)
            rows = self.rows[group][chosen]
            if self.training:
                self._learn(group, left, chosen)
            codes.append(chosen)
            quantised, left = quantised + rows, left - rows
        quantised = quantised.view_as(latents)
        loss = F.mse_loss(latents, quantised)
        return latents + (quantised - latents).detach(), torch.stack(codes, 1).view(*latents.shape[:2], -1), loss

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


def _k_means(points: Tensor, count: int, rounds: int = 15) -> Tensor:
    centres = points[torch.randperm(len(points))[:count]].clone()
    for _ in range(rounds):
        nearest = torch.cdist(points, centres).argmin(1)
        sums = torch.zeros_like(centres).index_add_(0, nearest, points)
        sizes = torch.bincount(nearest, minlength=count)
        centres = torch.where(
            (sizes > 0)[:, None], sums / sizes.clamp_min(1)[:, None], points[torch.randint(len(points), (count,))]
        )
    return centres


class Codec(nn.Module):
    def __init__(self, config: Qwen3OmniMoeConfig):
        super().__init__()
        code2wav = config.code2wav_config
        self.encoder = Encoder(code2wav.hidden_size)
        self.quantiser = Quantiser(code2wav.num_quantizers, code2wav.codebook_size, code2wav.hidden_size)
        self.decoder = Qwen3OmniMoeCode2Wav(code2wav)
        for name, parameter in self.decoder.named_parameters():
            if name.endswith("scale"):  # of a transformer's layer; the reference starts at 0.01
                nn.init.constant_(parameter, 0.3)
            elif name.endswith("gamma"):
                nn.init.constant_(parameter, 0.1)

    def encode(self, waveform: Tensor) -> Tensor:
        """(batch, frames * 1920) -> codes (batch, frames, groups)."""
        return self.quantiser(self.encoder(waveform))[1]

    def decode(self, latents: Tensor) -> Tensor:
        """(batch, frames, hidden) -> (batch, samples): what code2wav does once codes are embedded."""
        h = self.decoder.pre_transformer(inputs_embeds=latents).last_hidden_state.transpose(1, 2)
        for blocks in self.decoder.upsample:
            for block in blocks:
                h = block(h)
        for block in self.decoder.decoder:
            h = block(h)
        return h[:, 0]

    def forward(self, waveform: Tensor, quantised: bool) -> tuple[Tensor, Tensor]:
        """The sound again, and the commitment loss."""
        latents = self.encoder(waveform)
        if not quantised:
            return self.decode(latents), torch.zeros(())
        latents, _, commitment = self.quantiser(latents)
        return self.decode(latents), commitment

    @torch.no_grad()
    def code2wav(self) -> Qwen3OmniMoeCode2Wav:
        """The decoder with the codebooks in its embedding, of which the reference takes the mean."""
        rows = self.quantiser.rows
        self.decoder.code_embedding.weight.copy_((rows * len(rows)).flatten(0, 1))
        return self.decoder


class SpectralLoss(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mels = nn.ModuleList(LogMel(window, window // 4, bands) for window, bands in RESOLUTIONS)

    def forward(self, made: Tensor, wanted: Tensor) -> Tensor:
        total = torch.zeros(())
        for mel in self.mels:
            a, b = mel.magnitudes(made), mel.magnitudes(wanted)
            total = total + (mel.log(a) - mel.log(b)).abs().mean() + 0.5 * (a - b).norm() / (b.norm() + 1e-4)
        return total / len(self.mels)


def train_codec(config: Qwen3OmniMoeConfig, work: Path, steps: int) -> None:
    """Writes `codec.pt`; goes on where an earlier run was cut off."""
    torch.manual_seed(0)
    sounds = [torch.from_numpy(u.samples.copy()) for u, _ in zip(read_speech(work), range(UTTERANCES), strict=False)]
    codec, loss_of = Codec(config), SpectralLoss()
    begin = int(WITHOUT_QUANTISER * steps)

    def loss(step: int) -> Tensor:
        torch.manual_seed(step)
        if step == begin:
            with torch.no_grad():
                codec.quantiser.start(torch.cat([codec.encoder(sound[None] / 32768)[0] for sound in sounds[:400]]))
        wanted = _crops(sounds)
        made, commitment = codec(wanted, step >= begin)
        return loss_of(made, wanted[:, : made.shape[1]]) + 0.25 * commitment

    train(codec, loss, steps, PEAK_RATE, Checkpoint(work / "codec.pt"), betas=(0.8, 0.99))


def _crops(sounds: list[Tensor]) -> Tensor:
    """(CROPS, CROP * 1920), of int16 sounds."""
    length, crops = CROP * FRAME, []
    for i in torch.randint(len(sounds), (CROPS,)).tolist():
        sound = F.pad(sounds[i], (0, max(0, length - len(sounds[i]))))
        begin = int(torch.randint(len(sound) - length + 1, ()))
        crops.append(sound[begin : begin + length])
    return torch.stack(crops) / 32768


def read_codec(config: Qwen3OmniMoeConfig, work: Path) -> Codec:
    codec = Codec(config)
    codec.load_state_dict(torch.load(work / "codec.pt")["model"])
    return codec.eval()


def main(arguments: list[str]) -> None:
    options = parser("codec", __doc__)
    options.add_argument("--steps", type=int, default=STEPS)
    options.add_argument("--threads", type=int, default=1)
    given = options.parse_args(arguments)
    torch.set_num_threads(given.threads)
    train_codec(demo_config(SIZE), given.work, given.steps)
