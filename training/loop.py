"""A training that may be cut off at any time and goes on where it was."""

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

SAVE_EVERY, SAY_EVERY = 120.0, 15.0
"""Seconds."""


@dataclass(frozen=True)
class Steps:
    """How many there are, and the learning rate: a linear rise to `peak`, then half a cosine down to 3 % of it."""

    count: int
    peak: float
    warm_up: int

    def rate(self, number: int) -> float:
        fall = 0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * number / self.count))
        return self.peak * min(1, (number + 1) / self.warm_up) * fall


class Loop:
    """Runs the steps that are left, and keeps model, optimizer and the state of the random generators in `file`."""

    def __init__(self, file: Path, model: nn.Module, optimizer: Optimizer, steps: Steps):
        self.file, self.model, self.optimizer, self.steps = file, model, optimizer, steps

    def run(
        self,
        step: Callable[[int], dict[str, float]],
        look: Callable[[int], None] | None = None,
        look_every: int = 0,
    ) -> None:
        """`step` takes its number and tells its losses; `look` shows how good the model is so far."""
        begin = number = self._resume()
        started = said = saved = time.monotonic()
        while number < self.steps.count:
            for group in self.optimizer.param_groups:
                group["lr"] = self.steps.rate(number)
            losses = step(number)
            number += 1
            now = time.monotonic()
            if now - said > SAY_EVERY:
                said = now
                left = (now - started) / (number - begin) * (self.steps.count - number)
                told = " ".join(f"{name} {value:.3f}" for name, value in losses.items())
                print(f"{self.file.stem}: step {number} of {self.steps.count}, {left / 60:.0f} min left: {told}", flush=True)
            if look and number % look_every == 0:
                look(number)
            if now - saved > SAVE_EVERY or number == self.steps.count:
                saved = now
                self._save(number)

    def _save(self, number: int) -> None:
        state = {
            "step": number,
            "steps": self.steps.count,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": (torch.get_rng_state(), random.getstate(), np.random.get_state()),
        }
        part = self.file.with_suffix(".part")
        torch.save(state, part)
        part.replace(self.file)

    def _resume(self) -> int:
        if not self.file.exists():
            return 0
        state = torch.load(self.file, weights_only=False)
        if state["steps"] != self.steps.count:
            raise ValueError(f"{self.file} is of a run of {state['steps']} steps; remove it to begin one of {self.steps.count}")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch_state, python_state, numpy_state = state["random"]
        torch.set_rng_state(torch_state)
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        return state["step"]
