"""A frame of static shapes says what the plain one says."""

from pathlib import Path
from typing import Any

import pytest
import torch

from sglang_omni.models.qwen3_omni import graph_frame, talker_stage
from sglang_omni.models.qwen3_omni.frame import PlainFrame
from sglang_omni.models.qwen3_omni.graph_frame import GraphFrame
from sglang_omni.models.qwen3_omni.talker_stage import TalkerRunner
from sglang_omni.models.spec import StageOptions
from tests.models.qwen3_omni.conversations import told

SPEECHES: list[dict[str, Any]] = [
    {"temperature": 0.0},
    {"seed": 1},
    {"seed": 2, "top_k": 0, "repetition_penalty": 1.5},
    {"seed": 3, "top_p": 0.7, "code_predictor_temperature": 0.0},
    {"seed": 4, "code_predictor_top_k": 200},
]


def build(model: Path, patch: pytest.MonkeyPatch, frame: Any) -> TalkerRunner:
    patch.setattr(talker_stage, "PAGE_ROWS", 16)
    patch.setattr(talker_stage, "frame", frame)
    options = {"max_length": 160, "total_rows": 800}
    return TalkerRunner(StageOptions(str(model), slots=len(SPEECHES), options=options))


def say(runner: TalkerRunner, model: Path, speeches: list[dict[str, Any]], frames: int) -> list[torch.Tensor]:
    """Their codes, of steps together."""
    states = [
        runner.open(slot, {**told(model, "short").params, "speech": speech}) for slot, speech in enumerate(speeches)
    ]
    said = []
    for state in states:
        runner.feed(state, [100, 101, 102])
        runner.feed(state, None)
    while len(said) < frames:
        for state in states:
            runner.memory.give(state)
        outputs = runner.step(states)
        if outputs[0] is not None:
            said.append(torch.stack(outputs))
    for state in states:
        runner.memory.release(state)
    return said


@pytest.mark.parametrize("count", [1, 3, 5])
def test_its_codes_are_the_plain_ones(tiny_model: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """However many rows a step has, however long they are, and however its draws are made."""
    monkeypatch.setattr(graph_frame, "FEW_PAGES", 1)
    monkeypatch.setattr(graph_frame, "FIRST_PAGES", 4)
    graphs = build(tiny_model, monkeypatch, GraphFrame)
    plain = build(tiny_model, monkeypatch, lambda *args: PlainFrame(*args[:3]))
    for runner in graphs, plain:
        runner.end_of_speech = -1  # nobody ends
    for speeches in (SPEECHES[:count], SPEECHES[-count:]):
        frames = [torch.stack(say(runner, tiny_model, speeches, 70)) for runner in (graphs, plain)]
        assert torch.equal(*frames)
    assert {step.pages for step in graphs.frame.graphs.captured} == {0, 1, 2, 4, 8}


def test_what_is_captured_at_the_start_is_what_most_steps_need(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = build(tiny_model, monkeypatch, GraphFrame)
    captured = set(runner.frame.graphs.captured)
    runner.end_of_speech = -1
    say(runner, tiny_model, SPEECHES[1:2], 5)
    assert set(runner.frame.graphs.captured) == captured
