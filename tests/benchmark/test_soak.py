"""What a soak takes for an answer, and what for a broken law."""

import base64
import json
from typing import Any

import pytest

from sglang_omni.benchmark.mix import GREEDY, MIX, STREAM, Answer, Question
from sglang_omni.benchmark.soak import Soak, summary

PCM = bytes(range(12))
SOUND = base64.b64encode(PCM).decode()


def chunk(finish_reason: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"delta": delta, "finish_reason": finish_reason}]}


STREAMS = {
    "chat": [chunk(role="assistant", content=""), chunk(content="Hi"), chunk(audio={"data": SOUND}), chunk("stop")],
    "speech": [{"type": "speech.audio.delta", "audio": SOUND}, {"type": "speech.audio.done", "usage": {}}],
    "transcription": [{"type": "transcript.text.delta", "delta": "Hi"}, {"type": "transcript.text.done", "text": "Hi"}],
}


def read(*events: dict[str, Any]) -> Answer:
    answer = Answer(200)
    for event in events:
        answer.read_event(f"data: {json.dumps(event)}")
        answer.read_event("")
    return answer


@pytest.mark.parametrize(
    ("kind", "text", "pcm"), [("chat", "Hi", PCM), ("speech", "", PCM), ("transcription", "Hi", b"")]
)
def test_a_stream_is_complete_with_its_last_event(kind: str, text: str, pcm: bytes):
    *begin, last = STREAMS[kind]
    assert not read(*begin).complete
    answer = read(*begin, last)
    assert (answer.complete, answer.text, answer.pcm) == (True, text, pcm)


def test_every_kind_has_requests_with_one_answer():
    assert {question.kind for question in MIX if question.fixed} == {question.kind for question in MIX}


def test_an_answer_that_differs_breaks_off_or_has_an_error_breaks_a_law():
    question = Question("chat", "/v1/chat/completions", dict(GREEDY))
    soak = Soak("http://localhost", seconds=1)
    soak.alone[question] = read(*STREAMS["chat"]).digest
    outcomes = {
        "equal": read(*STREAMS["chat"]),
        "refused": Answer(429),
        "another word": read(chunk(content="Ho"), *STREAMS["chat"][2:]),
        "another sound": read(*STREAMS["chat"][:-1], *STREAMS["chat"][2:]),
        "no end": read(*STREAMS["chat"][:-1]),
        "an abort": read(chunk("abort")),
        "an error": read(chunk(content="Hi"), {"error": {"message": "the talker stopped"}}),
        "a status": Answer(500, error="a bug"),
    }
    for name, answer in outcomes.items():
        soak.counts["chat", soak._judge(question, STREAM, answer)] += 1
        assert len(soak.broken) == max(0, [*outcomes].index(name) - 1), name
    assert soak.counts == {("chat", "equal"): 1, ("chat", "refused"): 1, ("chat", "broken"): 6}
    told = summary(soak, "scripts/bench soak")
    assert "| chat | 1 | 0 | 0 | 1 | 6 |" in told
    assert "- chat {'temperature': 0, 'stream': True}: the talker stopped" in told
