from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from sglang_omni.entrypoints import directory
from sglang_omni.models.qwen3_omni.demo import cached_demo_model

torch.set_num_threads(1)  # on busy cores, threads that wait for each other cost ten times what they save


@pytest.fixture(scope="session")
def demo_model() -> Path:
    """The random checkpoint that most tests serve."""
    return cached_demo_model()


@pytest.fixture(scope="session")
def tiny_model() -> Path:
    """The smallest checkpoint of the same structure."""
    return cached_demo_model("tiny")


@pytest.fixture(scope="module")
def sockets() -> Iterator[str]:
    """A directory for the sockets of stages."""
    path = directory.make()
    yield path
    directory.remove(path)
