"""The law of steps on a GPU: the host asks the device for nothing, from what a request says to what is on its way back.

Here the device is one without values: a tensor there has a shape, and whatever needs more than that raises.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
    unset_fake_temporarily,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sglang_omni.layers.company import law
from sglang_omni.layers.transfer import send
from sglang_omni.models.qwen3_omni import code2wav_stage, talker_stage
from sglang_omni.models.qwen3_omni.code2wav import Code2Wav, Code2WavConfig
from sglang_omni.models.qwen3_omni.code2wav_stage import Code2WavRunner
from sglang_omni.models.qwen3_omni.config import omni_config
from sglang_omni.models.qwen3_omni.talker import Talker
from sglang_omni.models.qwen3_omni.talker_stage import TalkerRunner
from sglang_omni.models.spec import StageOptions
from sglang_omni.sidecar.graphs import Graphs
from sglang_omni.sidecar.runner import Later
from tests.models.qwen3_omni.conversations import told

SLOTS = 3
CUDA = torch.device("cuda", 0)
WAITS = AssertionError, DataDependentOutputException, DynamicOutputShapeException


class Device(TorchDispatchMode):
    """What is on the host is as always. Between it and the device tensors pass through pinned memory, unwaited for."""

    def __init__(self) -> None:
        super().__init__()
        self.fake = FakeTensorMode(allow_non_fake_inputs=True)
        self.pinned: list[torch.UntypedStorage] = []

    def __enter__(self) -> "Device":
        self.fake.__enter__()
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self.fake.__exit__(*error)

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        leaves = tree_leaves((args, kwargs))
        given = [value for value in leaves if isinstance(value, Tensor)]
        names = any(isinstance(value, torch.device) and value.type == "cuda" for value in leaves)
        if not names and not kwargs.get("pin_memory") and not any(isinstance(value, FakeTensor) for value in given):
            with unset_fake_temporarily():
                return function(*args, **kwargs)
        result = function(*args, **kwargs)
        made = [value for value in tree_leaves(result) if isinstance(value, Tensor)]
        if kwargs.get("pin_memory"):
            self.pinned += [value.untyped_storage() for value in made]
        self._check(function, [*given, *made], kwargs.get("non_blocking") or any(value is True for value in args))
        return result

    def _check(self, function: Any, tensors: list[Tensor], unwaited: bool) -> None:
        here = [value for value in tensors if not value.is_cuda]
        if here and len(here) < len(tensors):
            assert unwaited, f"{function} waits for the device"
            pinned = {storage._cdata for storage in self.pinned}
            assert all(value.untyped_storage()._cdata in pinned for value in here), f"{function}: not pinned"


class Event:
    def record(self) -> None:
        pass

    def synchronize(self) -> None:
        raise AssertionError("waited for")


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[Device]:
    law()  # which computes
    monkeypatch.setenv("SGLANG_OMNI_KERNELS", "plain")
    monkeypatch.setattr(Graphs, "prepare", lambda graphs, keys: None)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    torch.set_default_dtype(torch.bfloat16)
    yield Device()
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def talker(device: Device, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> TalkerRunner:
    config = omni_config(tiny_model)
    with device.fake, torch.device("cuda"):
        talker = Talker(config.talker_config)
        rows = torch.empty(1000, config.talker_config.text_config.hidden_size)
    monkeypatch.setattr(talker_stage, "_load", lambda *_: (talker, rows))
    with device.fake:
        return TalkerRunner(StageOptions(str(tiny_model), device="cuda", slots=SLOTS, options={"prefill_rows": 24}))


@pytest.fixture
def code2wav(device: Device) -> Code2WavRunner:
    with device.fake, torch.device("cuda"):
        model = Code2Wav(Code2WavConfig(hidden_size=64, num_hidden_layers=1, decoder_dim=64))
        return Code2WavRunner(StageOptions("", slots=SLOTS), model)


@pytest.mark.parametrize("speech", [{}, {"temperature": 0.0}, {"top_k": 0, "top_p": 0.5}])
def test_a_talkers_steps(talker: TalkerRunner, tiny_model: Path, device: Device, speech: dict[str, Any]) -> None:
    """Prompts with media, in pieces of scattered pages, and frames after them."""
    with device:
        states = [talker.open(slot, {**told(tiny_model, "picture").params, "speech": speech}) for slot in (2, 0, 1)]
        for state, pages in zip(states, ([3, 1], [0, 2], [7, 5]), strict=True):
            state.pages = pages
            talker.feed(state, [5, 6, 7])
        assert states[0].prompt.media.any()
        kinds = set()
        while states[0].frames < 3:
            kinds.add(talker.bucket(states[0])[0])
            assert isinstance(talker.step(states), Later)
    assert kinds == {"prefill", "decode"}
    assert states[0].prompt.length > talker.prefill_rows


def test_code2wavs_steps(code2wav: Code2WavRunner, device: Device) -> None:
    with device:
        states = [code2wav.open(slot, {}) for slot in (2, 0, 1)]
        for state in states:
            for _ in range(4):
                code2wav.feed(state, torch.zeros(16, dtype=torch.int64))
        for chunk in range(2):
            assert code2wav.bucket(states[0]) == (2, chunk == 0)
            assert isinstance(code2wav.step(states), Later)
    assert states[0].frames == 4


@pytest.mark.parametrize(
    "waits",
    [
        lambda x: int(x.sum()),
        lambda x: x.cpu(),
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: torch.tensor([1, 2], device=x.device),
        lambda x: x[torch.tensor([1, 2])],
        lambda x: x.index_put_((torch.zeros(1, dtype=torch.int64, device=x.device),), torch.tensor(1.0)),
    ],
)
def test_what_waits_is_noticed(device: Device, waits: Any) -> None:
    with device:
        x = send(torch.zeros(3), CUDA)
        with pytest.raises(WAITS):
            waits(x)
