"""Rotary positions, along one axis or three (time, height, width)."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from sglang_omni.errors import CheckpointError


class Rotation(NamedTuple):
    """Cosines and signed sines (batch, time, 1, head_dim) of the positions of one step."""

    cos: Tensor
    sin: Tensor


class Rope:
    """Frequencies for heads of `head_dim` channels. `parameters` is a config's `rope_parameters`.

    With an `mrope_section` (time, height, width), frequencies of the three axes are interleaved as in
    Qwen3OmniMoeThinkerTextRotaryEmbedding.
    """

    def __init__(self, head_dim: int, parameters: dict[str, Any], device: str | torch.device = "cpu"):
        if parameters.get("rope_type", "default") != "default":
            raise CheckpointError(f"rope type {parameters['rope_type']!r} is not supported; only 'default' is")
        exponents = torch.arange(0, head_dim, 2, dtype=torch.float32, device=device) / head_dim
        self.frequencies = 1 / parameters["rope_theta"] ** exponents
        self.axes = torch.zeros(head_dim // 2, dtype=torch.int64, device=device)
        for axis in (1, 2):
            if "mrope_section" in parameters:
                self.axes[axis : 3 * parameters["mrope_section"][axis] : 3] = axis

    def at(self, positions: Tensor, dtype: torch.dtype) -> Rotation:
        """Positions (batch, time), the same on all axes, or (3, batch, time)."""
        if positions.ndim == 3:
            angles = positions[self.axes].movedim(0, -1).float() * self.frequencies
        else:
            angles = positions[..., None].float() * self.frequencies
        cos, sin = angles.cos(), angles.sin()
        return Rotation(
            torch.cat((cos, cos), -1).unsqueeze(-2).to(dtype), torch.cat((-sin, sin), -1).unsqueeze(-2).to(dtype)
        )


def rotate(x: Tensor, rotation: Rotation, out: Tensor | None = None) -> Tensor:
    """Turns the pairs (i, i + head_dim / 2) of x (batch, time, heads, head_dim)."""
    return torch.addcmul(x * rotation.cos, x.roll(x.shape[-1] // 2, -1), rotation.sin, out=out)
