"""The law of steps on a GPU: the host asks the device for nothing, from what a request says to what is on its way back.

Here the device is one without values: a tensor there has a shape, and whatever needs more than that raises. Where there
is a GPU, it is asked too.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
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
from sglang_omni.models.qwen3_omni.code2wav import Code2Wav, Code2WavConfig
from sglang_omni.models.qwen3_omni.code2wav_stage import Code2WavRunner
from sglang_omni.models.qwen3_omni.config import omni_config
from sglang_omni.models.qwen3_omni.talker import Talker
from sglang_omni.models.qwen3_omni.talker_stage import TalkerRunner
from sglang_omni.models.spec import StageOptions
from sglang_omni.sidecar import graphs
from sglang_omni.sidecar.graphs import Eager, Graphs
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


@pytest.fixture(params=[(9, 0), (8, 0)], ids=["Hopper", "Ampere"])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Device]:
    law()  # which computes
    monkeypatch.setenv("SGLANG_OMNI_KERNELS", "plain")
    monkeypatch.setattr(graphs, "CudaGraph", lambda call, *_: Eager(call))
    monkeypatch.setattr(graphs, "_free", lambda device: 0)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: None)
    monkeypatch.setattr(torch.cuda, "Stream", lambda: None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: request.param)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    torch.set_default_dtype(torch.bfloat16)
    yield Device()
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def talker(device: Device, tiny_model: Path) -> TalkerRunner:
    config = omni_config(tiny_model)
    with device.fake, torch.device("cuda"):
        talker = Talker(config.talker_config)
        rows = torch.empty(1000, config.talker_config.text_config.hidden_size)
    options = StageOptions(str(tiny_model), device="cuda", slots=SLOTS, options={"prefill_rows": 24})
    with device.fake:
        return TalkerRunner(options, (talker, rows))


@pytest.fixture
def code2wav(device: Device) -> Code2WavRunner:
    with device.fake, torch.device("cuda"):
        model = Code2Wav(Code2WavConfig(hidden_size=64, num_hidden_layers=1, decoder_dim=64))
        return Code2WavRunner(StageOptions("", slots=SLOTS, options={"chunk_frames": [2, 3]}), model)


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


def test_parking(talker: TalkerRunner, tiny_model: Path, device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only to give back is to wait, for the copy that was begun long ago."""
    with device:
        state = talker.open(0, {**told(tiny_model, "picture").params, "speech": {}})
        talker.feed(state, [5, 6, 7])
        talker.memory.give(state)
        assert isinstance(talker.step([state]), Later)
        talker.memory.park(state)
        assert state.parked
        assert not state.pages
        monkeypatch.setattr(Event, "synchronize", lambda self: None)
        talker.memory.give(state)
        assert state.pages
        assert not state.parked


def test_code2wavs_steps(code2wav: Code2WavRunner, device: Device) -> None:
    with device:
        states = [code2wav.open(slot, {}) for slot in (2, 0, 1)]
        for state in states:
            for _ in range(5):
                code2wav.feed(state, torch.zeros(16, dtype=torch.int64))
        for chunk in range(2):
            assert code2wav.bucket(states[0]) == (2 + chunk, chunk == 0)
            assert isinstance(code2wav.step(states), Later)
    assert states[0].frames == 5


def test_what_the_thinker_keeps_of_a_prompt(device: Device) -> None:
    forwarder = pytest.importorskip("sglang_omni.thinker.forwarder", reason="needs SGLang")
    prompt = [5, 151, 151, 6, 152]
    req = SimpleNamespace(
        rid="a",
        sampling_params=SimpleNamespace(custom_params={forwarder.SPEECH: {}}),
        extend_end=len(prompt),
        origin_input_ids=prompt,
        origin_input_ids_unpadded=prompt,
        multimodal_inputs=None,
    )
    with device:
        tap = forwarder.Tap(10, 4, torch.bfloat16, CUDA)
        slots = send(torch.tensor([7, 2, 5, 1, 9]), CUDA)
        tap.write(slots, send(torch.zeros(5, 4), CUDA))
        keeper = forwarder.Forwarder(None, tap, [151, 152], lambda _: slots)
        keeper.prefilled([req])
    assert "a" in keeper._speeches


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


needs_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def heard(step: Callable[[Any], Any], states: list[Any]) -> list[Any]:
    """What comes of a step that may not wait."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        later = step(states)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert isinstance(later, Later)
    return list(later.wait())


def forget(graphs: Graphs[Any]) -> None:
    """From here on every step is launched kernel by kernel."""
    assert all(graphs.captured.values()), "all could be captured"
    graphs.captured = dict.fromkeys(graphs.captured)


@needs_a_gpu
def test_a_talkers_graphs_wait_for_nothing_and_do_what_their_kernels_do(tiny_model: Path) -> None:
    options = {"prefill_rows": 24, "total_rows": 2048}
    talker = TalkerRunner(StageOptions(str(tiny_model), device="cuda", dtype="bfloat16", slots=SLOTS, options=options))

    def speak() -> list[Tensor]:
        params = told(tiny_model, "picture").params
        states = [talker.open(slot, {**params, "speech": {"seed": slot}}) for slot in (2, 0, 1)]
        frames = []
        for state in states:
            talker.feed(state, [5, 6, 7])
        while states[0].frames < 3:
            for state in states:
                talker.memory.give(state)
            frames += [frame for frame in heard(talker.step, states) if frame is not None]
        for state in states:
            talker.memory.release(state)
        return frames

    captured = speak()
    forget(talker.frame.graphs)
    assert torch.equal(torch.stack(captured), torch.stack(speak()))


@needs_a_gpu
def test_code2wavs_graphs_wait_for_nothing_and_do_what_their_kernels_do(tiny_model: Path) -> None:
    code2wav = Code2WavRunner(StageOptions(str(tiny_model), device="cuda", dtype="bfloat16", slots=SLOTS))
    codes = torch.randint(code2wav.config.codebook_size, (SLOTS, 9, 16), generator=torch.Generator().manual_seed(0))

    def sound() -> list[bytes]:
        states = [code2wav.open(slot, {}) for slot in (2, 0, 1)]
        for state, frames in zip(states, codes, strict=True):
            for frame in frames:
                code2wav.feed(state, frame)
        return [chunk for _ in range(4) for chunk in heard(code2wav.step, states)]

    captured = sound()
    forget(code2wav.graphs)
    assert captured == sound()
