"""Which phones a frame of speech holds, as two codes: what a talker has to know, apart from how it sounds.

That the first codes of a frame be about content is from Zhang et al. 2023, "SpeechTokenizer", which teaches them from a
network's features; here the synthesiser itself tells its phones.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.clusters import k_means
from training.speech import FRAME, SAMPLE_RATE, Phones

NAMES = "pau aa ae ah ao aw ax ay b ch d dh eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh t th uh uw v w y z zh"
PHONES = NAMES.split(" ")
MOMENTS = 8
"""In which a frame is looked at, and as many of the next frame as follow here, for a sound leans towards the next."""
AHEAD = 2
GROUPS = 2
LEARNED_FROM = 40_000
"""Frames."""


def held(phones: Phones, frames: int) -> Tensor:
    """(frames, MOMENTS + AHEAD) indices into PHONES."""
    ends = torch.tensor([end for _, end in phones], dtype=torch.float64)
    moment = FRAME / SAMPLE_RATE / MOMENTS
    times = (torch.arange(frames * MOMENTS + AHEAD, dtype=torch.float64) + 0.5) * moment
    at = torch.searchsorted(ends, times).clamp_max(len(ends) - 1)
    labels = torch.tensor([PHONES.index(phone) for phone, _ in phones])[at]
    return labels.unfold(0, MOMENTS + AHEAD, MOMENTS)


def features(labels: Tensor) -> Tensor:
    """(frames, moments) -> (frames, moments * phones): which one when, a little blurred in time."""
    marks = F.one_hot(labels, len(PHONES)).float().mT
    weights = torch.tensor([[[0.5, 1.0, 0.5]]]).expand(len(PHONES), 1, 3)
    blurred = F.conv1d(F.pad(marks, (1, 1), mode="replicate"), weights, groups=len(PHONES))
    return blurred.flatten(1)


class PhoneticCodes(nn.Module):
    """Nearest centres, of the features and then of what the first centre leaves."""

    def __init__(self, size: int):
        super().__init__()
        self.centres = nn.Buffer(torch.zeros(GROUPS, size, len(PHONES) * (MOMENTS + AHEAD)))

    @torch.no_grad()
    def start(self, labels: Tensor) -> None:
        """Learns its centres from (n, moments)."""
        left = features(labels[torch.randperm(len(labels))[:LEARNED_FROM]])
        for centres in self.centres:
            centres.copy_(k_means(left, len(centres)))
            left = left - centres[torch.cdist(left, centres).argmin(1)]

    def forward(self, labels: Tensor) -> Tensor:
        """(frames, moments) -> codes (frames, GROUPS)."""
        left, codes = features(labels), []
        for centres in self.centres:
            codes.append(torch.cdist(left, centres).argmin(1))
            left = left - centres[codes[-1]]
        return torch.stack(codes, 1)

    def likeliest(self, codes: Tensor) -> Tensor:
        """(frames, GROUPS) -> (frames, moments): the phones that codes stand for."""
        sums = sum(centres[code] for centres, code in zip(self.centres, codes.unbind(1), strict=True))
        return sums.view(len(codes), len(PHONES), -1).argmax(1)
