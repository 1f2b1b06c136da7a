"""Steps of gradient descent that can be stopped at any time and go on where they were."""

import math
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training.half import products
from training.muon import Muon, kind
from training.parts import whole

WARMUP = 100
SAVE_EVERY = 120.0
"""Seconds."""
FASTER = 2.0
"""How much faster than the rest matrices learn, unless told otherwise."""


class Checkpoint:
    """What a run has reached, in a file."""

    def __init__(self, path: Path):
        self.path, self.saved, self.interval = path, time.monotonic(), SAVE_EVERY

    def load(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
        """Returns the step to go on from."""
        if not self.path.exists():
            return 0
        state = torch.load(self.path, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        return int(state["step"])

    def save(self, model: nn.Module, optimizer: torch.optim.Optimizer, step: int, now: bool = False) -> None:
        if now or time.monotonic() - self.saved > self.interval:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
            with whole(self.path) as file:
                torch.save(state, file)
            self.saved = time.monotonic()


def train(
    model: nn.Module,
    loss: Callable[[int], Tensor],
    steps: int,
    rate: float,
    checkpoint: Checkpoint,
    say: Callable[[str], None] = print,
    slower: tuple[str, ...] = (),
    after_step: Callable[[int], None] | None = None,
    betas: tuple[float, float] = (0.9, 0.98),
    faster: float = FASTER,
) -> None:
    """Muon for hidden matrices and AdamW for the rest, with a warm-up and a cosine to nought. `loss` of a step depends
    on nothing but the step and the model; parameters whose names start with one of `slower` learn at a third of the
    rate, and matrices `faster` than the rest. Layers multiply in bfloat16 where the processor can.
    """
    optimizer = _optimizer(model, rate, slower, betas, faster)
    first = checkpoint.load(model, optimizer)
    model.train()
    mean, began = 0.0, time.monotonic()
    for step in range(first, steps):
        now = rate * min((step + 1) / WARMUP, 0.5 + 0.5 * math.cos(math.pi * step / steps))
        for group in optimizer.param_groups:
            group["lr"] = now * group["scale"]
        with products():
            value = loss(step)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_([each for group in optimizer.param_groups for each in group["params"]], 1.0)
        optimizer.step()
        mean = value.item() if step == first else 0.98 * mean + 0.02 * value.item()
        if step % 50 == 0:
            pace = (time.monotonic() - began) / (step - first + 1)
            say(f"{checkpoint.path.stem} {step}/{steps}: loss {mean:.4f}, {pace:.2f} s a step")
        checkpoint.save(model, optimizer, step + 1, now=step + 1 == steps)
        if after_step:
            after_step(step)
    model.eval()


def _optimizer(
    model: nn.Module, rate: float, slower: tuple[str, ...], betas: tuple[float, float], faster: float
) -> Muon:
    groups: dict[tuple[bool, str | None], list[nn.Parameter]] = defaultdict(list)
    for name, value in model.named_parameters():
        if value.requires_grad:
            groups[bool(slower) and name.startswith(slower), kind(name, value)].append(value)
    parts: list[dict[str, Any]] = []
    for (held_back, matrices), values in groups.items():
        scale = (1 / 3 if held_back else 1.0) * (faster if matrices else 1.0)
        parts.append({"params": values, "scale": scale, "matrices": matrices})
    return Muon(parts, lr=rate, betas=betas, weight_decay=0.01)
