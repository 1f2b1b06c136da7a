"""What the benchmark of stages measures, and what it leaves behind."""

from pathlib import Path
from typing import Any

import pytest
import torch

from sglang_omni.benchmark import stages
from sglang_omni.benchmark.stages import Bench, OneLate, Time
from sglang_omni.models.qwen3_omni.code2wav_stage import Code2WavRunner
from sglang_omni.models.qwen3_omni.demo.config import demo_config
from sglang_omni.models.qwen3_omni.talker_stage import TalkerRunner
from sglang_omni.sidecar.runner import Later

ROWS = 1, 3


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    demo_config("tiny").save_pretrained(tmp_path)
    return Bench(tmp_path, torch.device("cpu"), torch.float32, ROWS, repeats=1)


@torch.inference_mode()
def test_no_page_is_held_when_a_number_of_streams_is_done(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[TalkerRunner] = []

    def make(*args: Any) -> TalkerRunner:
        made.append(TalkerRunner(*args))
        return made[0]

    monkeypatch.setattr(stages, "TalkerRunner", make)
    monkeypatch.setattr(stages, "STEPS", 2)
    held = []
    for time in bench.talker():
        held.append((time.size, made[0].memory.total - made[0].memory.free))
    sizes = ["200 rows", "1 stream", "1 stream", "3 streams", "3 streams"]
    pages = held[1][1]
    assert held == list(zip(sizes, [0, pages, pages, 3 * pages, 3 * pages], strict=True))
    assert made[0].memory.free == made[0].memory.total


@torch.inference_mode()
def test_code2wav_reads_all_weights_but_its_codes_whatever_its_slots(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Code2WavRunner] = []

    def make(options: Any, model: Any) -> Code2WavRunner:
        parts = {name: sum(p.nbytes for p in part.parameters()) for name, part in model.named_children()}
        made.append(Code2WavRunner(options, model))
        expected.append(sum(parts.values()) - parts["code_embedding"])
        return made[0]

    expected: list[int] = []
    monkeypatch.setattr(stages, "Code2WavRunner", make)
    monkeypatch.setattr(stages, "clock", lambda *_: 1.0)
    assert {time.moved for time in bench.code2wav()} == {*expected}


def test_a_result_is_waited_for_when_the_next_step_is_under_way() -> None:
    said: list[str] = []

    def step() -> Later:
        number = sum(word.startswith("step") for word in said)
        said.append(f"step {number}")
        return Later(lambda: said.append(f"wait {number}") or [])

    late = OneLate(step)
    for _ in range(3):
        late()
    assert said == ["step 0", "step 1", "wait 0", "step 2", "wait 1"]


def test_a_line_has_a_cell_for_every_mode() -> None:
    frame = [Time("frame", "1 stream", seconds, 10**6) for seconds in (8e-3, 4e-3, 2e-3)]
    assert stages._line(frame, 3, 1e9) == "| frame | 1 stream | 8.00 | 4.00 | 2.00 | 4.0 | 1.00 | 50% |"
    assert stages._line([Time("wav", "1 s", 1e-3)], 3, 1e9) == "| wav | 1 s |  |  | 1.00 |  |  |  |"
