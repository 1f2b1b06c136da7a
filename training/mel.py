"""Mel spectrograms, and how unlike two sounds are by them."""

import math

import torch
from torch import Tensor, nn

from training.speech import SAMPLE_RATE

RESOLUTIONS = (256, 24), (512, 40), (1024, 80), (2048, 128)
"""Samples of a window, and mel bands: short ones too, for what p, t and k are heard by."""

STEP = 480
"""Samples of what a decoder's upsampling makes of a frame: a quarter."""


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


class Spectra(nn.Module):
    """Log mel bands at every resolution, side by side: (batch, steps * STEP) -> (batch, steps, `size`). Of short
    windows, a step has several."""

    def __init__(self) -> None:
        super().__init__()
        hops = [min(STEP, window * 15 // 32) for window, _ in RESOLUTIONS]
        self.mels = nn.ModuleList(
            LogMel(window, hop, bands) for (window, bands), hop in zip(RESOLUTIONS, hops, strict=True)
        )
        self.size = sum(bands * (STEP // hop) for (_, bands), hop in zip(RESOLUTIONS, hops, strict=True))

    def forward(self, x: Tensor) -> Tensor:
        seen = [mel(x)[..., :-1].unflatten(-1, (-1, STEP // mel.hop)) for mel in self.mels]
        return torch.cat([bands.permute(0, 2, 1, 3).flatten(2) for bands in seen], -1)


def _mel_bands(window: int, bands: int) -> Tensor:
    """(bands, window / 2 + 1) triangles, equally wide in mel."""
    top = 2595 * math.log10(1 + SAMPLE_RATE / 2 / 700)
    edges = 700 * (10 ** (torch.linspace(0, top, bands + 2) / 2595) - 1)
    frequencies = torch.linspace(0, SAMPLE_RATE / 2, window // 2 + 1)
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return torch.minimum((frequencies - low) / (middle - low), (high - frequencies) / (high - middle)).clamp_min(0)


class SpectralLoss(nn.Module):
    """Logarithms and magnitudes at several resolutions (Yamamoto et al. 2020, "Parallel WaveGAN"), on mel bands."""

    def __init__(self, resolutions: tuple[tuple[int, int], ...] = RESOLUTIONS):
        super().__init__()
        self.mels = nn.ModuleList(LogMel(window, window // 4, bands) for window, bands in resolutions)

    def forward(self, made: Tensor, wanted: Tensor) -> Tensor:
        total = torch.zeros(())
        for mel in self.mels:
            a, b = mel.magnitudes(made), mel.magnitudes(wanted)
            total = total + (mel.log(a) - mel.log(b)).abs().mean() + 0.5 * (a - b).norm() / (b.norm() + 1e-4)
        return total / len(self.mels)
