"""Laws of the talker: neither company nor the order of arrival changes what anyone hears."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from sglang_omni.models.qwen3_omni import talker_stage
from sglang_omni.models.qwen3_omni.frame import Frame, PlainFrame
from sglang_omni.models.qwen3_omni.graph_frame import GraphFrame
from sglang_omni.models.qwen3_omni.talker_stage import TalkerRunner
from sglang_omni.models.spec import StageOptions
from tests.models.qwen3_omni.conversations import CONVERSATIONS, Told, told

GREEDY = {"temperature": 0.0}

FRAMES: dict[str, Callable[..., Frame]] = {
    "compiled": talker_stage.frame,
    "plain": lambda talker, text_rows, requests, _: PlainFrame(talker, text_rows, requests),
    "graph": GraphFrame,
}


@pytest.fixture(scope="module", params=FRAMES)
def runner(tiny_model: Path, request: pytest.FixtureRequest) -> Iterator[TalkerRunner]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(talker_stage, "frame", FRAMES[request.param])
        yield TalkerRunner(StageOptions(str(tiny_model), slots=len(CONVERSATIONS), options={"max_length": 700}))


def together(
    runner: TalkerRunner, requests: list[tuple[Told, dict[str, Any]]], seed: int, most: int = 99
) -> tuple[list[torch.Tensor], int]:
    """Frames of requests whose words arrive a few at a time between steps, and the largest step there was."""
    order = random.Random(seed)
    slots = order.sample(range(runner.slots), len(requests))
    waiting = [list(conversation.tokens) for conversation, _ in requests]
    states = [
        runner.open(slot, {**conversation.params, "speech": speech})
        for slot, (conversation, speech) in zip(slots, requests, strict=True)
    ]
    spoken: list[list[torch.Tensor]] = [[] for _ in requests]
    fed, largest = [False] * len(requests), 0
    while not all(runner.finished(state) for state in states):
        for number, state in enumerate(states):
            if waiting[number] and order.random() < 0.3:
                count = order.randint(1, 3)
                runner.feed(state, waiting[number][:count])
                del waiting[number][:count]
            elif not waiting[number] and not fed[number] and order.random() < 0.3:
                runner.feed(state, None)
                fed[number] = True
        buckets: dict[Any, list[int]] = {}
        for number, state in enumerate(states):
            if runner.finished(state) is None and (bucket := runner.bucket(state)) is not None:
                buckets.setdefault(bucket, []).append(number)
        for numbers in buckets.values():
            numbers = order.sample(numbers, min(most, len(numbers)))
            largest = max(largest, len(numbers))
            for number in numbers:
                runner.memory.give(states[number])
            for number, frame in zip(numbers, runner.step([states[n] for n in numbers]), strict=True):
                if frame is not None:
                    spoken[number].append(frame)
    for state in states:
        runner.memory.release(state)
    return [torch.stack(frames) for frames in spoken], largest


def test_company_changes_no_bit(runner: TalkerRunner, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stronger than equal codes: a code is drawn from these numbers, and a last bit may decide it."""
    if isinstance(runner.frame, GraphFrame):
        pytest.skip("on a GPU, products of different numbers of rows round differently")
    heard: dict[int, list[torch.Tensor]] = {}
    kept: list[Any] = []  # so that no id is given twice
    speak = runner.frame.speak

    def record(states: Any, hidden: torch.Tensor) -> torch.Tensor:
        codes = speak(states, hidden)
        kept.extend(states)
        for row, state in enumerate(states):
            heard.setdefault(id(state), []).append(torch.cat((hidden[row], runner.requests.heard[state.slot])))
        return codes

    monkeypatch.setattr(runner.frame, "speak", record)
    requests = [
        (told(tiny_model, name), {"seed": number, "max_frames": 10, "top_k": 20 + number})
        for number, name in enumerate([*CONVERSATIONS][:8])
    ]
    together(runner, requests, seed=0)
    company = list(heard.values())
    heard.clear()
    for request in requests:
        together(runner, [request], seed=0)
    alone = list(heard.values())
    assert len(alone) == len(company) == len(requests)
    by_first = {rows[0].numpy().tobytes(): rows for rows in company}
    for rows in alone:
        torch.testing.assert_close(by_first[rows[0].numpy().tobytes()], rows, rtol=0, atol=0)


@pytest.mark.parametrize("seed", [0, 1])
def test_company_and_the_order_of_arrival_change_nothing(runner: TalkerRunner, tiny_model: Path, seed: int) -> None:
    conversations = [told(tiny_model, name) for name in CONVERSATIONS]
    frames, largest = together(runner, [(conversation, GREEDY) for conversation in conversations], seed)
    assert largest > 3
    for conversation, spoken in zip(conversations, frames, strict=True):
        torch.testing.assert_close(spoken, conversation.answer.codes)


def test_sampled_speech_depends_on_its_seed_alone(runner: TalkerRunner, tiny_model: Path) -> None:
    names = ["short", "turns", "picture", "sound", "short"]
    conversations = [told(tiny_model, name) for name in names]
    speeches: list[dict[str, Any]] = [
        {"seed": 1},
        {"seed": 2, "temperature": 1.3, "top_k": 5},
        {"seed": 3, "top_p": 0.7, "code_predictor_temperature": 0.0},
        {"seed": 4, "top_k": 0, "repetition_penalty": 1.5},
        {"seed": 5},
    ]
    speeches = [{**speech, "max_frames": 12} for speech in speeches]
    requests = list(zip(conversations, speeches, strict=True))
    alone = [together(runner, [request], seed=1)[0][0] for request in requests]
    again = [together(runner, [request], seed=2)[0][0] for request in requests]
    company, largest = together(runner, requests, seed=0)
    assert largest > 2
    for first, second, third in zip(alone, again, company, strict=True):
        torch.testing.assert_close(second, first)
        torch.testing.assert_close(third, first)
    assert not torch.equal(alone[0][:3], alone[4][:3])
