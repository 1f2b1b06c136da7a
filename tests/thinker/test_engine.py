"""The thinker in SGLang's own engine, against transformers: what it answers, and what the talker is told."""

import random
from dataclasses import replace
from typing import Any

import pytest
import torch
from sglang.srt.managers.io_struct import AbortReq, TokenizedGenerateReqInput

from sglang_omni.models.qwen3_omni.talker_stage import TalkerRunner
from sglang_omni.models.spec import StageOptions
from sglang_omni.sidecar.messages import Abort, Chunk, Finish, Start
from tests.models.qwen3_omni.conversations import CONVERSATIONS, PICTURE, Conversation, by
from tests.models.qwen3_omni.conversations import told as reference_told
from tests.thinker.engine import SPEECH, STAGES, Engine
from tests.thinker.expected import Expected, expect, expected

CHUNK = 48  # tokens of a prompt that run at once: most of the prompts here are longer
SLOTS = 640  # of KV: too few for all conversations at once


@pytest.fixture(scope="module")
def engine(demo_model, tmp_path_factory):
    engine = Engine(
        demo_model,
        tmp_path_factory.mktemp("sockets"),
        dtype="float32",
        max_total_tokens=SLOTS,
        chunked_prefill_size=CHUNK,
        random_seed=0,
    )
    assert engine.scheduler.enable_overlap
    return engine


def told(engine: Engine, request: TokenizedGenerateReqInput) -> tuple[Start, list[int], str]:
    """What the talker was told of one request: exactly one Start, then Chunks, then a Finish."""
    start, *chunks, finish = [message for message in engine.sent if message.request_id == request.rid]
    assert isinstance(start, Start)
    assert all(isinstance(chunk, Chunk) and chunk.data for chunk in chunks)
    assert isinstance(finish, Finish)
    return start, [token for chunk in chunks for token in chunk.data], finish.reason


def spoken(engine: Engine, output: list[int]) -> list[int]:
    """All but the end of turn."""
    return [token for token in output if token != engine.tokenizer.eos_token_id]


def check(engine: Engine, request: TokenizedGenerateReqInput, truth: Expected) -> None:
    start, tokens, reason = told(engine, request)
    output = list(engine.reqs[request.rid].output_ids_through_stop)
    assert output == truth.answer
    assert tokens == spoken(engine, output)
    assert engine.texts[request.rid] == engine.tokenizer.decode(tokens)
    assert reason == ("length" if len(output) == request.sampling_params.max_new_tokens else "stop")
    assert start.params["speech"] == SPEECH
    assert start.stages == STAGES
    assert torch.equal(start.params["prompt_ids"], truth.prompt_ids)
    assert torch.equal(start.params["positions"], truth.positions)
    torch.testing.assert_close(start.params["media_rows"], truth.media_rows, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_cold_prompt_and_a_cached_one(engine, demo_model, name):
    engine.flush()
    for _ in range(2):
        request = engine.request(CONVERSATIONS[name])
        engine.run([request])
        check(engine, request, expected(demo_model, name))
    assert engine.reqs[request.rid].cached_tokens == len(request.input_ids) - 1


@pytest.fixture(scope="module")
def talker(demo_model) -> TalkerRunner:
    return TalkerRunner(StageOptions(str(demo_model), slots=1))


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_what_the_talker_is_told_makes_the_codes_of_transformers(engine, demo_model, talker, name):
    """The whole way to the codec frames: SGLang's thinker, its tap, the talker."""
    conversation = CONVERSATIONS[name]
    truth = reference_told(demo_model, name)
    request = engine.request(conversation)
    engine.run([request])
    start, tokens, _ = told(engine, request)
    speech = talker.open(0, {**start.params, "speech": {"voice": "ethan", "temperature": 0.0}})
    talker.feed(speech, tokens[: len(truth.tokens)])
    talker.feed(speech, None)
    frames = []
    while talker.finished(speech) is None:
        talker.memory.give(speech)
        frames += [frame for frame in talker.step([speech]) if frame is not None]
    talker.memory.release(speech)
    assert torch.equal(torch.stack(frames), truth.answer.codes)


def test_a_partly_cached_prompt(engine, demo_model):
    """The second prompt's first picture is in the cache, its second is not."""
    first = Conversation([by("user", "image", "What is this?")], {"images": [PICTURE]})
    turned = PICTURE.rotate(90, expand=True)
    second = Conversation(
        [*first.messages, by("assistant", "Noise."), by("user", "image", "And this?")], {"images": [PICTURE, turned]}
    )
    engine.flush()
    engine.run([engine.request(first)])
    request = engine.request(second)
    engine.run([request])
    check(engine, request, expect(demo_model, second))
    assert 0 < engine.reqs[request.rid].cached_tokens < len(request.input_ids) - 1


def test_company_retraction_and_eviction(engine, demo_model, monkeypatch):
    """Everybody at once, twice, in random order, with less memory than they need; some are retracted more than once."""
    monkeypatch.setattr("sglang.srt.managers.scheduler.TEST_RETRACT", True)
    monkeypatch.setattr("sglang.srt.managers.scheduler.TEST_RETRACT_INTERVAL", 7)
    engine.flush()
    names = 2 * list(CONVERSATIONS)
    random.Random(0).shuffle(names)
    requests = [engine.request(replace(CONVERSATIONS[name], max_tokens=40)) for name in names]
    engine.run(*[requests[i : i + 3] for i in range(0, len(requests), 3)])
    for name, request in zip(names, requests, strict=True):
        start, tokens, _ = told(engine, request)
        truth = expected(demo_model, name)
        output = list(engine.reqs[request.rid].output_ids_through_stop)
        assert output[: len(truth.answer)] == truth.answer
        assert tokens == spoken(engine, output)
        torch.testing.assert_close(start.params["media_rows"], truth.media_rows, atol=1e-4, rtol=1e-4)
    assert any(engine.reqs[request.rid].retraction_count for request in requests)
    assert sum(len(request.input_ids) for request in requests) > 3 * SLOTS


def test_an_answer_of_one_token(engine, demo_model):
    engine.flush()
    conversation = replace(CONVERSATIONS["picture"], max_tokens=1)
    request = engine.request(conversation)
    engine.run([request])
    check(engine, request, expect(demo_model, conversation))


def test_an_answer_of_no_token_still_ends(engine):
    """A prompt may leave no room for one; who waits for the sound must hear that there is none."""
    request = engine.request(CONVERSATIONS["short"], max_tokens=0)
    engine.run([request])
    assert told(engine, request)[1:] == ([], "length")


def test_who_does_not_speak_is_not_told(engine):
    silent, speaking = engine.request(CONVERSATIONS["picture"], speaks=False), engine.request(CONVERSATIONS["short"])
    engine.run([silent, speaking])
    assert {message.request_id for message in engine.sent} == {speaking.rid}
    assert engine.reqs[silent.rid].output_ids


def test_an_abort_in_mid_answer(engine):
    aborted, other = (engine.request(CONVERSATIONS["long answer"], ignore_eos=True) for _ in range(2))
    engine.run([aborted, other], *[[]] * 5, [AbortReq(rid=aborted.rid)])
    messages = [message for message in engine.sent if message.request_id == aborted.rid]
    assert isinstance(messages[0], Start)
    assert isinstance(messages[-1], Abort)
    assert 1 < len(messages) < 12
    assert told(engine, other)[2] == "length"


def test_an_abort_before_the_prompt_has_run_is_not_told(engine):
    engine.flush()
    request = engine.request(CONVERSATIONS["picture after a video with sound"])
    engine.run([request], [AbortReq(rid=request.rid)])
    assert engine.sent == []


def test_what_stops_an_answer_is_neither_read_nor_heard(engine):
    """Stop strings cut out of the answer's own text, many of them in the middle of tokens."""
    conversation = CONVERSATIONS["long answer"]
    free = engine.request(conversation, ignore_eos=True)
    engine.run([free])
    text = engine.texts[free.rid]
    stops = [text[begin : begin + length] for begin in range(3, len(text) - 9, 7) for length in (1, 5, 9)]
    requests = [
        engine.request(conversation, ignore_eos=True, stop=stop, no_stop_trim=keeps)
        for stop in stops
        for keeps in (False, True)
    ]
    third = engine.reqs[free.rid].output_ids[2]
    requests += [engine.request(conversation, ignore_eos=False, stop_token_ids=[third])]
    engine.run(*[requests[i : i + 8] for i in range(0, len(requests), 8)])
    for request in requests:
        stop = request.sampling_params.stop_strs[:1]
        transcript = engine.texts[request.rid]
        assert engine.tokenizer.decode(told(engine, request)[1]) == transcript
        assert told(engine, request)[2] == "stop"
        for string in stop:
            assert transcript == text[: text.find(string) + len(string) * request.sampling_params.no_stop_trim]
    assert told(engine, requests[-1])[1] == list(engine.reqs[free.rid].output_ids[:2])


def test_a_seed_gives_the_same_answer_in_any_company(engine):
    def ask(seed: int | None, **sampling) -> TokenizedGenerateReqInput:
        options = {"temperature": 1.0, "ignore_eos": True, "sampling_seed": seed, **sampling}
        return engine.request(CONVERSATIONS["long answer"], **options)

    def answers(*requests: TokenizedGenerateReqInput) -> list[list[int]]:
        engine.run(list(requests))
        return [list(engine.reqs[request.rid].output_ids) for request in requests]

    alone = [answers(ask(seed, top_p=0.9, top_k=20))[0] for seed in (1, 2)]
    greedy = answers(ask(None, temperature=0.0))[0]
    first, *others, second, plain = answers(
        ask(1, top_p=0.9, top_k=20),
        ask(None),
        ask(None, min_p=0.1),
        ask(2, top_p=0.9, top_k=20),
        ask(3, temperature=0.0),
    )
    assert [first, second] == alone
    assert first != second
    assert plain == greedy
    assert len({tuple(answer) for answer in others}) == 2


def test_seeds_at_the_borders_and_temperature_0(engine):
    seeds = [-(2**63), -1, 0, 2**63 - 1]
    conversation = CONVERSATIONS["long answer"]

    def answers(**sampling: Any) -> list[list[int]]:
        requests = [engine.request(conversation, ignore_eos=True, sampling_seed=seed, **sampling) for seed in seeds]
        engine.run(requests)
        return [list(engine.reqs[request.rid].output_ids) for request in requests]

    first, again = answers(temperature=1.0), answers(temperature=1.0)
    assert first == again
    assert len({tuple(answer) for answer in first}) == len(seeds)
    greedy = answers(temperature=0.0)
    assert all(answer == greedy[0] for answer in greedy)


def test_who_has_a_seed_meets_who_has_none(engine):
    """Seeded requests that end one after another, while others without seeds join their batch."""
    conversation = CONVERSATIONS["short"]
    seeded = [engine.request(conversation, temperature=1.0, sampling_seed=n, max_tokens=n) for n in range(2, 8)]
    joining = [engine.request(conversation, temperature=1.0) for _ in range(3)]
    engine.run(seeded, [], [], *[[request] for request in joining])
    assert all(engine.reqs[request.rid].finished() for request in seeded + joining)
