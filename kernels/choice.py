"""A Triton kernel or the plain operations it replaces: tried and timed once, where they will run.

`SGLANG_OMNI_KERNELS` is `auto`; `plain` for no kernels; `eager` for no CUDA graphs either; or `triton` for kernels
wherever they can run, unasked. Whoever has a kernel asks `possible` and imports it only then, so where there is no GPU
Triton is not imported.
"""

import logging
import os
from collections.abc import Callable, Hashable
from contextlib import nullcontext
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from sglang_omni.errors import ConfigError
from sglang_omni.kernels.timing import seconds

ENVIRONMENT = "SGLANG_OMNI_KERNELS"
CAPABILITY = 8, 0  # the first with products of bfloat16
TOLERANCES = {torch.float32: 2e-3, torch.bfloat16: 2e-2, torch.float16: 5e-3}
"""The difference's norm, as a share of the result's. Convolutions in float32 have TF32's precision by default."""

logger = logging.getLogger(__name__)
_decided: dict[Hashable, bool] = {}


def mode() -> str:
    """What the environment asks for. Raises ConfigError for another word."""
    asked = os.environ.get(ENVIRONMENT, "auto")
    if asked not in ("auto", "plain", "eager", "triton"):
        raise ConfigError(f"{ENVIRONMENT} is {asked!r}; it may be auto, plain, eager or triton")
    return asked


def possible(device: torch.device) -> bool:
    """Whether kernels can run on the device at all; on a CPU in Triton's interpreter alone, when it is asked for."""
    asked = mode()
    if device.type == "cuda":
        able = asked in ("auto", "triton") and torch.cuda.get_device_capability(device) >= CAPABILITY
    else:
        able = asked == "triton" and os.environ.get("TRITON_INTERPRET") == "1"
    return able and find_spec("triton") is not None


def compiles(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether `layers.compiled` is for such tensors, and can be used."""
    if device.type != "cpu" or dtype != torch.float32 or mode() != "auto":
        return False
    try:
        import numba  # noqa: F401
    except ModuleNotFoundError:
        return False
    return True


def is_faster(name: str, plain: Callable[..., Tensor], kernel: Callable[..., Tensor], *example: Any) -> bool:
    """Whether `kernel` does what `plain` does, and faster, for arguments like `example`.

    The first of these is a tensor, and may be written. A name with tensors of the same kind is tried once.
    """
    if mode() == "triton":
        return True
    key = name, *(_kind(argument) for argument in example)
    if key not in _decided:
        _decided[key] = _try(name, plain, kernel, example)
    return _decided[key]


def _kind(argument: Any) -> Hashable:
    if isinstance(argument, Tensor):
        return argument.shape, argument.stride(), argument.dtype, argument.device
    return tuple(map(_kind, argument)) if isinstance(argument, tuple) else argument


def _try(name: str, plain: Callable[..., Tensor], kernel: Callable[..., Tensor], example: tuple[Any, ...]) -> bool:
    first, *others = example
    device, dtype = first.device, first.dtype
    what = f"{name} of {tuple(first.shape)} in {str(dtype).removeprefix('torch.')}"
    try:
        with torch.inference_mode(), torch.cuda.device(device) if device.type == "cuda" else nullcontext():
            expected = plain(first.clone(), *others).float()
            error = float((kernel(first.clone(), *others).float() - expected).norm() / expected.norm())
            if not error <= TOLERANCES[dtype]:
                logger.warning("%s: plain, since the kernel's result is off by %.1g", what, error)
                return False
            before, after = _times(lambda: plain(first, *others), lambda: kernel(first, *others), device)
    except Exception as error:  # of a compiler, a driver, or a device without room
        logger.warning("%s: plain, since the kernel failed: %s", what, error)
        return False
    chosen = "the kernel" if after < before else "plain"
    logger.info("%s: %s; plain takes %.1f us, the kernel %.1f us", what, chosen, before * 1e6, after * 1e6)
    return after < before


def _times(plain: Callable[[], Tensor], kernel: Callable[[], Tensor], device: torch.device) -> tuple[float, float]:
    try:
        return seconds(plain, device), seconds(kernel, device)
    except RuntimeError:  # one of them cannot be captured
        return seconds(plain, device, graph=False), seconds(kernel, device, graph=False)
