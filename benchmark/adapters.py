"""The shapes in which servers take requests and stream answers: one class each, in one table at the end.

A stream is read when it is over, from what arrived and when: an event has come with the last byte of its line.
"""

import base64
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from sglang_omni.benchmark.workload import CHATS, SPEECHES, Line

SAMPLE_BYTES = 2
Arrivals = Sequence[tuple[float, bytes]]
"""When, in seconds of one clock, and what was read from the socket."""


@dataclass(frozen=True)
class Piece:
    """What one event says. `pcm`: 16-bit little-endian samples, the channels side by side; of mono at 24 kHz, as Qwen's
    models speak, where a server does not say."""

    text: str = ""
    pcm: bytes = b""
    rate: int = 24_000
    channels: int = 1
    error: str = ""
    last: bool = False

    @property
    def seconds(self) -> float:
        return len(self.pcm) / (SAMPLE_BYTES * self.channels * self.rate)


class SglOmni:
    """This server: chat chunks with `delta.content` and `delta.audio.data`, base64 of bare PCM at 24 kHz; speech as
    bare PCM, or as events `speech.audio.delta`, by the line's `stream_format`."""

    def body(self, line: Line, model: str) -> dict[str, Any]:
        """What to send for a line."""
        return {"model": model, **line.body} | ({"stream": True} if line.path == CHATS else {})

    def read(self, event: Mapping[str, Any]) -> Piece:
        """What an event says."""
        if event.get("error"):
            return Piece(error=_message(event["error"]))
        if kind := event.get("type"):  # of speech, or of a transcription
            return replace(_sound(event.get("audio", "")), text=event.get("delta", ""), last=kind.endswith(".done"))
        choices = event.get("choices") or [{}]
        return replace(self._delta(event, choices[0]), last=choices[0].get("finish_reason") in ("stop", "length"))

    def _delta(self, event: Mapping[str, Any], choice: Mapping[str, Any]) -> Piece:
        delta = choice.get("delta") or {}
        audio = delta.get("audio") or {}
        text = (delta.get("content") or "") + (audio.get("transcript") or "")
        return replace(_sound(audio.get("data") or ""), text=text)


class OpenAI(SglOmni):
    """OpenAI's: as ours, but the words of a spoken chat come as `delta.audio.transcript`, and a field that is not
    OpenAI's is an error there, so those are left out: `min_tokens`, the talker's, and a speech's seed."""

    FIELDS: ClassVar = {
        CHATS: ("messages", "modalities", "audio", "temperature", "top_p", "seed", "stop"),
        SPEECHES: ("input", "voice", "instructions", "response_format", "speed", "stream_format"),
    }

    def body(self, line: Line, model: str) -> dict[str, Any]:
        body = {"model": model} | {name: line.body[name] for name in self.FIELDS[line.path] if name in line.body}
        if "max_tokens" in line.body:
            body["max_completion_tokens"] = line.body["max_tokens"]
        return body | ({"stream": True} if line.path == CHATS else {})


class VllmOmni(SglOmni):
    """vLLM-Omni 0.30's: chat chunks whose `modality` is "text" or "audio"; the content of the latter is base64 of a
    WAV file. The voice stands beside the messages. Speech streams if `stream` is true, and then as ours."""

    def body(self, line: Line, model: str) -> dict[str, Any]:
        body = {"model": model, **line.body, "stream": True}
        if audio := line.body.get("audio"):
            body |= {"voice": audio.get("voice"), "audio": {"format": "wav"}}
        return body

    def _delta(self, event: Mapping[str, Any], choice: Mapping[str, Any]) -> Piece:
        content = (choice.get("delta") or {}).get("content") or ""
        return _sound(content) if event.get("modality") == "audio" else Piece(text=content)


class PublicSglangOmni(SglOmni):
    """The public sglang-omni's (0.1.9): chat chunks as ours, but each `delta.audio.data` is a WAV file. Speech streams
    if `stream` is true."""

    def body(self, line: Line, model: str) -> dict[str, Any]:
        body = {"model": model, **line.body, "stream": True}
        if audio := line.body.get("audio"):
            body["audio"] = {**audio, "format": "wav"}
        return body


def _message(error: Any) -> str:
    return str(error.get("message") or error) if isinstance(error, dict) else str(error)


def _sound(data: str) -> Piece:
    """Base64 of bare PCM, or of a WAV file."""
    return unwrapped(base64.b64decode(data))


def unwrapped(sound: bytes) -> Piece:
    """The PCM of a WAV file, which may still be growing (its length is the greatest, or 0), or of bare PCM. Raises
    ValueError if it is not of 16 bits."""
    if not sound.startswith(b"RIFF"):
        return Piece(pcm=sound)
    place, channels, rate = 12, 1, 24_000
    while place + 8 <= len(sound):
        name, size = struct.unpack_from("<4sI", sound, place)
        place += 8
        if name == b"data":
            return Piece(pcm=sound[place : place + size] if size else sound[place:], rate=rate, channels=channels)
        if name == b"fmt ":
            _, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", sound, place)
            if bits != 8 * SAMPLE_BYTES:
                raise ValueError(f"a WAV file of {bits} bits")
        place += size + size % 2
    raise ValueError("a WAV file without data")


def events(arrivals: Arrivals) -> Iterator[tuple[float, dict[str, Any]]]:
    """Of an event stream; the closing `[DONE]` is none. Raises ValueError for data that are no JSON object."""
    rest = b""
    for when, data in arrivals:
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            if line.startswith(b"data:") and (payload := line[5:].strip()) != b"[DONE]":
                event = json.loads(payload)
                if not isinstance(event, dict):
                    raise ValueError(f"an event that is no object: {payload[:50]!r}")
                yield when, event


def as_stated(piece: Piece, headers: Mapping[str, str]) -> Piece:
    """With rate and channels of the headers `X-Sample-Rate` and `X-Channels`, if they are there."""
    rate, channels = headers.get("x-sample-rate", piece.rate), headers.get("x-channels", piece.channels)
    return replace(piece, rate=int(rate), channels=int(channels))


def bare(arrivals: Arrivals, headers: Mapping[str, str]) -> Iterator[tuple[float, Piece]]:
    """Of a body that is sound: a WAV file, or bare PCM."""
    whole = b"".join(data for _, data in arrivals)
    sound = unwrapped(whole)
    if sound.pcm is whole:
        sound = as_stated(sound, headers)
    frame = SAMPLE_BYTES * sound.channels
    came, heard = len(sound.pcm) - len(whole), 0  # a header is no sound
    for when, data in arrivals:
        came += len(data)
        ready = max(0, came) // frame * frame
        yield when, replace(sound, pcm=sound.pcm[heard:ready])
        heard = ready


ADAPTERS: dict[str, SglOmni] = {
    "sgl-omni": SglOmni(),
    "openai": OpenAI(),
    "vllm-omni": VllmOmni(),
    "public-sglang-omni": PublicSglangOmni(),
}
