"""Each server's stream, as it is on the wire, and what its adapter reads in it."""

import base64
import io
import json
import wave
from struct import pack
from typing import Any

import pytest

from sglang_omni.benchmark import workload
from sglang_omni.benchmark.adapters import ADAPTERS, Arrivals, Piece, bare, events, unwrapped
from sglang_omni.benchmark.workload import CHATS, SPEECHES, Line

PCM = bytes(range(1, 13))
HALVES = PCM[:4], PCM[4:]


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def wav(pcm: bytes, rate: int = 24_000, channels: int = 1, width: int = 2) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(channels)
        sound.setsampwidth(width)
        sound.setframerate(rate)
        sound.writeframes(pcm)
    return file.getvalue()


def chunk(finish_reason: str | None = None, modality: str | None = None, **delta: Any) -> dict[str, Any]:
    event = {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}
    return event | ({"modality": modality} if modality else {})


STREAMS: dict[str, tuple[dict[str, Any], ...]] = {
    "sgl-omni": (
        chunk(role="assistant", content=""),
        chunk(content="Hello"),
        chunk(audio={"id": "audio_1", "data": b64(HALVES[0])}),
        chunk(content=" you"),
        chunk(audio={"data": b64(HALVES[1])}),
        chunk("stop") | {"usage": {"total_tokens": 9}},
    ),
    "openai": (
        chunk(role="assistant", content=None, refusal=None, audio={"id": "audio_1", "transcript": "Hello"}),
        chunk(audio={"id": "audio_1", "data": b64(HALVES[0])}),
        chunk(audio={"id": "audio_1", "transcript": " you"}),
        chunk(audio={"id": "audio_1", "data": b64(HALVES[1])}),
        chunk(audio={"id": "audio_1", "expires_at": 1795350942}),
        chunk("stop"),
    ),
    "vllm-omni": (
        chunk(modality="text", role="assistant", content=""),
        chunk(modality="text", content="Hello"),
        chunk(modality="audio", role="assistant", content=b64(wav(HALVES[0]))),
        chunk(modality="text", content=" you"),
        chunk("stop", modality="audio", role="assistant", content=b64(wav(HALVES[1]))),
    ),
    "public-sglang-omni": (
        chunk(role="assistant"),
        chunk(content="Hello"),
        chunk(audio={"id": "audio-1", "data": b64(wav(HALVES[0]))}),
        chunk(content=" you"),
        chunk(audio={"id": "audio-1", "data": b64(wav(HALVES[1]))}),
        chunk("stop"),
    ),
}
SPEECH = (
    {"type": "speech.audio.delta", "audio": b64(HALVES[0])},
    {"type": "speech.audio.delta", "audio": b64(HALVES[1])},
    {"type": "speech.audio.done", "usage": {"output_tokens": 2}},
)


def on_the_wire(*stream: dict[str, Any]) -> bytes:
    lines = [f"event: {event.get('type', 'message')}\ndata: {json.dumps(event)}\n\n" for event in stream]
    return "".join([": a comment\r\n\r\n", *lines, "data: [DONE]\n\n"]).encode()


def read(name: str, arrivals: Arrivals) -> list[tuple[float, Piece]]:
    return [(when, ADAPTERS[name].read(event)) for when, event in events(arrivals)]


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_chat_is_read_alike_wherever_the_network_cuts_it(name: str):
    body = on_the_wire(*STREAMS[name])
    whole = [piece for _, piece in read(name, [(0, body)])]
    assert "".join(piece.text for piece in whole) == "Hello you"
    assert [piece.pcm for piece in whole if piece.pcm] == [*HALVES]
    assert [piece.last for piece in whole] == [*[False] * (len(whole) - 1), True]
    assert [piece for _, piece in read(name, [(0, body[n : n + 1]) for n in range(len(body))])] == whole
    for cut in range(len(body)):
        assert [piece for _, piece in read(name, [(0, body[:cut]), (1, body[cut:])])] == whole


@pytest.mark.parametrize("name", ADAPTERS)
def test_speech_events_are_the_same_everywhere(name: str):
    pieces = [piece for _, piece in read(name, [(0, on_the_wire(*SPEECH))])]
    assert b"".join(piece.pcm for piece in pieces) == PCM
    assert [piece.last for piece in pieces] == [False, False, True]


def test_an_event_has_come_with_the_end_of_its_line():
    first, second = on_the_wire(chunk(content="a")), on_the_wire(chunk(content="b"))
    arrivals = [(1.0, first + second[:40]), (2.0, second[40:])]
    assert [(when, piece.text) for when, piece in read("sgl-omni", arrivals)] == [(1.0, "a"), (2.0, "b")]


@pytest.mark.parametrize(
    "event",
    [
        {"error": {"message": "the talker stopped", "code": 500}},
        {"type": "error", "error": {"message": "the talker stopped"}},
        {"type": "speech.audio.error", "error": {"message": "the talker stopped"}},
        {"error": "the talker stopped"},
    ],
)
def test_an_error_is_read_with_its_words(event: dict[str, Any]):
    assert ADAPTERS["vllm-omni"].read(event) == Piece(error="the talker stopped")


def test_a_stream_that_is_aborted_has_no_last_piece():
    assert not ADAPTERS["sgl-omni"].read(chunk("abort")).last


@pytest.mark.parametrize("size", [1, 3, 5, 7, 100])
@pytest.mark.parametrize(
    ("body", "headers", "rate", "channels"),
    [
        (PCM, {}, 24_000, 1),
        (PCM, {"x-sample-rate": "16000", "x-channels": "2"}, 16_000, 2),
        (wav(PCM, 44_100, 2), {}, 44_100, 2),
        (wav(PCM).replace(pack("<4sI", b"data", len(PCM)), pack("<4sI", b"data", 0)), {}, 24_000, 1),
        (wav(PCM).replace(pack("<4sI", b"data", len(PCM)), b"data" + b"\xff" * 4), {}, 24_000, 1),
    ],
    ids=["PCM", "PCM with headers", "WAV", "WAV of no length yet", "WAV of the greatest length"],
)
def test_bare_sound_is_read_in_whole_samples(body: bytes, headers: dict, rate: int, channels: int, size: int):
    cuts = range(0, len(body), size)
    pieces = [piece for _, piece in bare([(n, body[n : n + size]) for n in cuts], headers)]
    assert b"".join(piece.pcm for piece in pieces) == PCM
    assert {(piece.rate, piece.channels) for piece in pieces} == {(rate, channels)}
    assert all(len(piece.pcm) % (2 * channels) == 0 for piece in pieces)


def test_sound_that_is_not_16_bit_is_refused():
    with pytest.raises(ValueError, match="8 bits"):
        unwrapped(wav(PCM, width=1))


ASKED = Line(
    CHATS,
    {
        "messages": [{"role": "user", "content": "Hello!"}],
        "modalities": ["text", "audio"],
        "audio": {"voice": "ethan", "format": "pcm16"},
        "max_tokens": 32,
        "min_tokens": 32,
        "temperature": 0,
        "seed": 11,
    },
)
SPOKEN = Line(SPEECHES, {"input": "Hello.", "voice": "ethan", "response_format": "pcm", "seed": 11})


@pytest.mark.parametrize(
    ("name", "changed", "left_out"),
    [
        ("sgl-omni", {}, ()),
        ("openai", {"max_completion_tokens": 32}, ("max_tokens", "min_tokens")),
        ("vllm-omni", {"voice": "ethan", "audio": {"format": "wav"}}, ()),
        ("public-sglang-omni", {"audio": {"voice": "ethan", "format": "wav"}}, ()),
    ],
)
def test_a_chat_is_asked_for_in_the_servers_shape(name: str, changed: dict[str, Any], left_out: tuple[str, ...]):
    expected = {**ASKED.body, **changed, "model": "m", "stream": True}
    assert ADAPTERS[name].body(ASKED, "m") == {key: expected[key] for key in expected if key not in left_out}


@pytest.mark.parametrize(
    ("name", "changed", "left_out"),
    [
        ("sgl-omni", {}, ()),
        ("openai", {}, ("seed",)),
        ("vllm-omni", {"stream": True}, ()),
        ("public-sglang-omni", {"stream": True}, ()),
    ],
)
def test_speech_is_asked_for_in_the_servers_shape(name: str, changed: dict[str, Any], left_out: tuple[str, ...]):
    expected = {**SPOKEN.body, **changed, "model": "m"}
    assert ADAPTERS[name].body(SPOKEN, "m") == {key: expected[key] for key in expected if key not in left_out}


@pytest.mark.parametrize("name", workload.names())
def test_each_line_of_a_workload_that_ships_has_one_answer(name: str):
    assert all(workload.has_one_answer(line.body) and line.speaks for line in workload.read(name))


def test_a_workload_of_ones_own_is_read_and_its_mistakes_are_named(tmp_path):
    file = tmp_path / "mine.jsonl"
    file.write_text(json.dumps({"path": SPEECHES, "body": SPOKEN.body}) + "\n")
    (line,) = workload.read(str(file))
    other = line.in_voice("aiden")
    assert (other.body, other.workload, other.number) == ({**SPOKEN.body, "voice": "aiden"}, "mine.jsonl", 1)
    assert ASKED.in_voice("aiden").body["audio"] == {"voice": "aiden", "format": "pcm16"}
    file.write_text('{"path": "/v1/nothing", "body": {}}\n')
    with pytest.raises(ValueError, match=r"mine\.jsonl, line 1: path is /v1/nothing"):
        workload.read(str(file))
    with pytest.raises(ValueError, match="Available: chat, long, media, speech"):
        workload.read("poems")
