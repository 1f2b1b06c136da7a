"""The talker's frames are transformers', and its speech ends when it should."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from sglang_omni.errors import ConfigError, InvalidRequest
from sglang_omni.layers import compiled
from sglang_omni.models.qwen3_omni import SPEC
from sglang_omni.models.qwen3_omni.talker_stage import (
    FRAMES_AT_LEAST,
    FRAMES_EXPECTED,
    PAGE_ROWS,
    Speech,
    TalkerRunner,
)
from sglang_omni.models.spec import StageOptions
from sglang_omni.sidecar.sampling import Sampling
from tests.models.qwen3_omni.conversations import CONVERSATIONS, Told, told

GREEDY = {"temperature": 0.0}


@pytest.fixture(scope="module")
def runner(tiny_model: Path) -> TalkerRunner:
    return TalkerRunner(StageOptions(str(tiny_model), slots=len(CONVERSATIONS), options={"max_length": 700}))


def begin(runner: TalkerRunner, slot: int, told: Told, speech: dict[str, Any] = GREEDY) -> Speech:
    return runner.open(slot, {**told.params, "speech": speech})


def step(runner: TalkerRunner, states: list[Speech]) -> list[torch.Tensor | None]:
    """As the scheduler does it, where there is memory for all."""
    for state in states:
        runner.memory.give(state)
    return runner.step(states)


def speak(runner: TalkerRunner, state: Speech) -> torch.Tensor:
    """All frames (frames, code groups) of a request whose text has arrived."""
    frames = []
    while runner.finished(state) is None:
        (frame,) = step(runner, [state])
        if frame is not None:
            frames.append(frame)
    runner.memory.release(state)
    return torch.stack(frames) if frames else torch.empty(0, runner.groups, dtype=torch.int64)


def say(runner: TalkerRunner, told: Told, speech: dict[str, Any] = GREEDY, slot: int = 0) -> torch.Tensor:
    state = begin(runner, slot, told, speech)
    runner.feed(state, told.tokens)
    runner.feed(state, None)
    return speak(runner, state)


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_greedy_frames_are_the_references(runner: TalkerRunner, tiny_model: Path, name: str) -> None:
    conversation = told(tiny_model, name)
    frames = say(runner, conversation, slot=2)
    assert len(frames) > 2
    torch.testing.assert_close(frames, conversation.answer.codes)


@pytest.mark.parametrize("rows", [1, 7, 50])
@pytest.mark.parametrize("name", ["turns with media", "picture after a video with sound"])
def test_a_prompt_may_be_read_in_pieces(
    runner: TalkerRunner, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, name: str, rows: int
) -> None:
    monkeypatch.setattr(runner, "prefill_rows", rows)
    conversation = told(tiny_model, name)
    assert conversation.answer.codes.shape[0] > 2
    torch.testing.assert_close(say(runner, conversation), conversation.answer.codes)


def test_on_a_cpu_prompts_are_read_one_by_one(runner: TalkerRunner, tiny_model: Path) -> None:
    """There the number of rows decides how each is rounded."""
    states = [begin(runner, slot, told(tiny_model, "turns")) for slot in (0, 1)]
    for state in states:
        runner.feed(state, [20, 21])
    assert runner.bucket(states[0]) != runner.bucket(states[1])
    for state in states:
        step(runner, [state])
        runner.memory.release(state)
    assert runner.bucket(states[0]) == runner.bucket(states[1])


def test_a_piece_of_a_prompt_makes_no_frame_and_others_go_on_between_two(
    runner: TalkerRunner, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "prefill_rows", 7)
    state = begin(runner, 0, told(tiny_model, "turns"))
    runner.feed(state, [20, 21])
    pieces = -(-state.prompt.length // 7)
    assert pieces > 3
    buckets = []
    for _ in range(pieces - 1):
        buckets.append(runner.bucket(state))
        assert step(runner, [state]) == [None]
        assert runner.seconds(state) == 0
    assert len(set(buckets)) == len(buckets), "they share no step with who is further"
    assert step(runner, [state])[0] is not None
    assert runner.bucket(state) == ("decode",)
    runner.memory.release(state)


def test_memory_is_given_for_what_is_expected_and_then_page_by_page(endless: TalkerRunner, tiny_model: Path) -> None:
    state = begin(endless, 0, told(tiny_model, "short"))
    endless.feed(state, [20] * 20)
    endless.feed(state, None)
    free = endless.memory.free
    step(endless, [state])
    expected = state.prompt.length + FRAMES_AT_LEAST + 20 * FRAMES_EXPECTED
    assert endless.memory.held(state) == -(-expected // PAGE_ROWS)
    while state.length < expected + PAGE_ROWS:
        step(endless, [state])
        assert endless.memory.held(state) == max(-(-expected // PAGE_ROWS), -(-state.length // PAGE_ROWS))
    endless.memory.release(state)
    assert endless.memory.free == free


def test_a_request_longer_than_all_rows_is_a_mistake_of_the_options(tiny_model: Path) -> None:
    with pytest.raises(ConfigError, match="max_length 700 is more than its total_rows 600"):
        TalkerRunner(StageOptions(str(tiny_model), options={"max_length": 700, "total_rows": 600}))


def test_without_a_seed_speech_varies(runner: TalkerRunner, tiny_model: Path) -> None:
    conversation = told(tiny_model, "short")
    first, second = (say(runner, conversation, {"max_frames": 4}) for _ in range(2))
    assert not torch.equal(first, second)


def test_a_frame_leaves_before_the_next_word_arrives(runner: TalkerRunner, tiny_model: Path) -> None:
    conversation = told(tiny_model, "turns")
    state = begin(runner, 0, conversation)
    assert runner.bucket(state) is None
    for token, frame in zip(conversation.tokens[:4], conversation.answer.codes, strict=False):
        runner.feed(state, [token])
        (spoken,) = step(runner, [state])
        torch.testing.assert_close(spoken, frame)
        assert runner.bucket(state) is None
        assert runner.finished(state) is None


def test_the_last_word_of_a_cut_answer_is_spoken(runner: TalkerRunner, tiny_model: Path) -> None:
    conversation = told(tiny_model, "short")
    eos = runner.config.im_end_token_id
    words = [word for word in conversation.tokens if word != eos]

    def frames(*data: list[int] | None) -> torch.Tensor:
        state = begin(runner, 0, conversation)
        for part in data:
            runner.feed(state, part)
        return speak(runner, state)

    cut, ended = frames(words, None), frames([*words, eos])
    torch.testing.assert_close(cut, ended)
    assert not torch.equal(cut[: len(words)], frames(words[:-1], None)[: len(words)])


def test_an_empty_answer_is_silence(runner: TalkerRunner, tiny_model: Path) -> None:
    for data in ([runner.config.im_end_token_id], None):
        state = begin(runner, 0, told(tiny_model, "short"))
        runner.feed(state, data)
        assert runner.bucket(state) is None
        assert runner.finished(state) == "stop"


@pytest.fixture
def endless(runner: TalkerRunner) -> Iterator[TalkerRunner]:
    """A talker that never says the end of speech."""
    suppressed = runner.requests.suppressed
    suppressed[runner.end_of_speech] = True
    yield runner
    suppressed[runner.end_of_speech] = False


@pytest.mark.parametrize(("tokens", "max_frames", "expected"), [(1, None, 96), (3, 20, 20), (3, 160, 160)])
def test_speech_without_end_is_cut(
    endless: TalkerRunner, tiny_model: Path, tokens: int, max_frames: int | None, expected: int
) -> None:
    conversation = told(tiny_model, "short")
    state = begin(endless, 0, conversation, {**GREEDY, "max_frames": max_frames})
    endless.feed(state, [20] * tokens)
    endless.feed(state, None)
    assert len(speak(endless, state)) == expected
    assert endless.finished(state) == "length"


def test_speech_ends_where_its_slot_is_full(endless: TalkerRunner, tiny_model: Path) -> None:
    conversation = told(tiny_model, "picture after a video with sound")
    state = begin(endless, 0, conversation)
    endless.feed(state, [20] * 60)
    endless.feed(state, None)
    assert len(speak(endless, state)) == endless.max_length - state.prompt.length + 1
    assert endless.finished(state) == "length"


def test_what_cannot_be_spoken_is_refused(runner: TalkerRunner, tiny_model: Path) -> None:
    conversation = told(tiny_model, "short")
    with pytest.raises(InvalidRequest, match=r"no voice 'nobody'; there are .*ethan"):
        begin(runner, 0, conversation, {"voice": "nobody"})
    ids = conversation.params["prompt_ids"]
    long = torch.cat((ids[:5], ids[4:5].expand(runner.max_length), ids[5:]))
    params = {**conversation.params, "prompt_ids": long, "positions": torch.arange(len(long)).expand(3, -1)}
    check = SPEC.prompt_check(StageOptions(str(tiny_model), options={"max_length": runner.max_length}))
    with pytest.raises(InvalidRequest, match="rows of the talker's 700") as late:
        runner.open(0, {**params, "speech": GREEDY})
    with pytest.raises(InvalidRequest, match="rows of the talker's 700") as early:
        check(long.tolist())
    assert str(early.value) == str(late.value)
    with pytest.raises(InvalidRequest, match="must end with the assistant's turn"):
        runner.open(0, {**params, "prompt_ids": ids[:5], "speech": GREEDY})
    with pytest.raises(InvalidRequest, match="must end with the assistant's turn"):
        check(ids[:5].tolist())
    check(ids.tolist())


def test_voices_differ(runner: TalkerRunner, tiny_model: Path) -> None:
    conversation = told(tiny_model, "short")
    default, ethan, aiden = (
        say(runner, conversation, {**GREEDY, "voice": voice}) for voice in (None, "Ethan", "aiden")
    )
    torch.testing.assert_close(default, ethan)
    assert not torch.equal(ethan, aiden)


def test_nothing_was_compiled_twice(runner: TalkerRunner, tiny_model: Path) -> None:
    """Compiling for arrays of another layout would take a quarter of a minute, in mid-speech."""
    states = [begin(runner, slot, told(tiny_model, "turns"), {"seed": slot}) for slot in range(2)]
    for state in states:
        runner.feed(state, [20, 23, 26])
    for _ in range(3):
        step(runner, states)
    assert len(compiled.expert_layer.signatures) == len(compiled.draw_frame.signatures) == 1


@pytest.fixture(scope="module")
def careful(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> TalkerRunner:
    """A talker whose checkpoint says how it draws."""
    path = tmp_path_factory.mktemp("careful") / "model"
    shutil.copytree(tiny_model, path)
    file = path / "generation_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | SAID))
    return TalkerRunner(StageOptions(str(path), slots=2, options={"max_length": 700}))


SAID = {
    "talker_temperature": 0.4,
    "talker_top_k": 20,
    "talker_repetition_penalty": 1.0,
    "talker_max_new_tokens": 33,
    "code_predictor_temperature": 0.3,
    "code_predictor_top_k": 7,
}


def test_a_checkpoint_says_how_it_speaks_and_a_request_may_say_otherwise(
    careful: TalkerRunner, tiny_model: Path
) -> None:
    conversation = told(tiny_model, "short")
    begin(careful, 0, conversation, {})
    talker, residual = careful.requests.sampler, careful.requests.residual_sampler
    assert talker.requests[0] == Sampling(0.4, 20, 1.0, 1.0)
    assert residual.requests[0] == Sampling(0.3, 7, 0.8)
    assert begin(careful, 0, conversation, {"max_frames": 40}).max_frames == 40
    assert begin(careful, 0, conversation, {"temperature": 0.7, "code_predictor_top_p": 0.5}).max_frames == 33
    assert talker.requests[0] == Sampling(0.7, 20, 1.0, 1.0)
    assert residual.requests[0] == Sampling(0.3, 7, 0.5)


def test_a_draw_by_the_checkpoints_defaults_is_one_that_asks_for_them(
    careful: TalkerRunner, runner: TalkerRunner, tiny_model: Path
) -> None:
    conversation = told(tiny_model, "short")
    asked = {name.removeprefix("talker_"): value for name, value in SAID.items() if name != "talker_max_new_tokens"}
    by_default = say(careful, conversation, {"seed": 3})
    torch.testing.assert_close(by_default, say(runner, conversation, {"seed": 3, "max_frames": 33, **asked}))
    assert not torch.equal(by_default, say(runner, conversation, {"seed": 3, "max_frames": 33}))
