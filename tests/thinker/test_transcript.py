"""The law: what the talker is given to say is the transcript, however tokens come and wherever an answer stops."""

from array import array
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sglang.srt.managers.schedule_batch import FINISH_LENGTH, Req
from sglang.srt.sampling.sampling_params import SamplingParams
from sglang.srt.utils.hf_transformers_utils import get_tokenizer

from sglang_omni.sidecar.messages import Chunk
from sglang_omni.thinker.forwarder import Forwarder, Speech
from sglang_omni.thinker.scheduler import find_every_stop
from sglang_omni.thinker.tap import HostCopy
from tests.thinker.engine import Recorder

LETTERS = "ab é日🙂.\n"
TEXTS = st.text(LETTERS, min_size=1, max_size=30)


@pytest.fixture(scope="module")
def tokenizer(demo_model) -> Any:
    return get_tokenizer(str(demo_model))


def answer(tokenizer: Any, tokens: list[int], **sampling: Any) -> tuple[Req, list[list[int]]]:
    """`tokens` come one by one, as from the engine; the request, and what the talker was given after each."""
    params = SamplingParams(max_new_tokens=len(tokens), **sampling)
    params.normalize(tokenizer)
    find_every_stop(params)
    req = Req("request", "", array("q", [1]), params, eos_token_ids={tokenizer.eos_token_id}, vocab_size=10**6)
    req.tokenizer = tokenizer
    outbox = Recorder()
    forwarder = Forwarder(outbox, None, [], None)  # type: ignore[arg-type]
    forwarder._speeches["request"] = Speech({}, {}, HostCopy(torch.empty(0, 4)))
    given: list[list[int]] = []
    for token in tokens:
        req.output_ids.append(token)
        req.update_finish_state()
        outbox.messages = []
        forwarder.committed([req])
        given.append([id for message in outbox.messages if isinstance(message, Chunk) for id in message.data])
        if req.finished():
            break
    return req, given


def said(given: list[list[int]]) -> list[int]:
    return [token for tokens in given for token in tokens]


@st.composite
def spellings(draw: Any) -> list[str]:
    """A text in pieces that are encoded each by itself: not as the tokenizer would have spelt the whole."""
    text = draw(TEXTS)
    cuts = sorted({0, len(text), *draw(st.lists(st.integers(0, len(text)), max_size=6))})
    return [text[begin:end] for begin, end in pairwise(cuts)]


@given(spellings(), st.lists(st.text(LETTERS, min_size=1, max_size=4), max_size=3), st.booleans())
@settings(max_examples=300, deadline=None)
def test_the_sound_says_the_transcript(tokenizer, pieces, stops, keeps):
    tokens = [id for piece in pieces for id in tokenizer.encode(piece)]
    req, given = answer(tokenizer, tokens, stop=stops, no_stop_trim=keeps)
    for count in range(1, len(tokens) + 1):
        transcript = tokenizer.decode(tokens[:count])
        if matched := [stop for stop in stops if stop in transcript]:
            place = transcript.find(matched[0])
            transcript = transcript[: place + len(matched[0]) * keeps]
            break
    assert len(given) == count
    assert tokenizer.decode(said(given)) == transcript
    assert isinstance(req.finished_reason, FINISH_LENGTH) == (not matched)


@given(spellings())
@settings(max_examples=50, deadline=None)
def test_without_stop_strings_nothing_waits(tokenizer, pieces):
    tokens = [id for piece in pieces for id in tokenizer.encode(piece)]
    _, given = answer(tokenizer, tokens)
    assert given == [[token] for token in tokens]


def test_what_may_begin_a_stop_string_waits_until_it_cannot(tokenizer):
    tokens = [tokenizer.encode(letter)[0] for letter in "a.b..."]
    _, given = answer(tokenizer, tokens, stop="...")
    dot, b = tokens[1:3]
    assert given == [[tokens[0]], [], [dot, b], [], [], []]


def test_a_stop_token_is_left_out_and_a_stop_pattern_stays(tokenizer):
    a, b = (tokenizer.encode(letter)[0] for letter in "ab")
    assert said(answer(tokenizer, [a, a, b], stop_token_ids=[b])[1]) == [a, a]
    assert said(answer(tokenizer, [a, b, a], stop_token_ids=[b], no_stop_trim=True)[1]) == [a, b]
    assert said(answer(tokenizer, [a, a, b, a], stop_regex="[b]")[1]) == [a, a, b]


def test_the_end_of_turn_says_nothing(tokenizer):
    a, end = tokenizer.encode("a")[0], tokenizer.eos_token_id
    assert said(answer(tokenizer, [a, end])[1]) == [a]
    assert said(answer(tokenizer, [a, end, a], ignore_eos=True)[1]) == [a, a]
    assert said(answer(tokenizer, [a, end], no_stop_trim=True)[1]) == [a]
