"""A streamed chat answer: SGLang's events, with the sound among them and the end held back until both are over."""

import base64
from typing import Any

import orjson

from sglang_omni.audio.encode import Encoder
from sglang_omni.entrypoints.chat_request import UNTRIMMED, ChatRequest
from sglang_omni.entrypoints.errors import Refused, normalize, response_of
from sglang_omni.entrypoints.spoken import SpokenAnswers
from sglang_omni.entrypoints.sse import event
from sglang_omni.errors import Aborted
from sglang_omni.pipeline import Speech

DATA = "data: "
ABORTED = "abort"  # SGLang's finish reason for a request that was aborted by its id, which is no error there
WHOLE = 6  # bytes: whole samples, and base64 without padding, since clients join the strings of a stream


def usage_details(usage: dict[str, Any], frames: int = 0) -> dict[str, Any]:
    """SGLang's usage with every kind of token told apart; codec frames count as audio tokens of the answer."""
    prompt = usage.get("prompt_tokens_details") or {}
    media = {name: prompt.get(name) or 0 for name in ("audio_tokens", "image_tokens", "video_tokens")}
    completion = usage.get("completion_tokens") or 0
    reasoning = usage.get("reasoning_tokens") or 0
    return {
        "prompt_tokens": usage["prompt_tokens"],
        "completion_tokens": completion + frames,
        "total_tokens": usage["prompt_tokens"] + completion + frames,
        "prompt_tokens_details": {
            "cached_tokens": prompt.get("cached_tokens") or 0,
            "text_tokens": usage["prompt_tokens"] - sum(media.values()),
            **media,
        },
        "completion_tokens_details": {
            "reasoning_tokens": reasoning,
            "text_tokens": completion - reasoning,
            "audio_tokens": frames,
        },
    }


def finish_choice(choice: dict[str, Any], speech: Speech | None) -> None:
    """Says why it ended: by the words the client sent, or by the length of its sound."""
    if isinstance(matched := choice.get("matched_stop"), str):
        choice["matched_stop"] = matched.removesuffix(UNTRIMMED)
    if speech and speech.finish_reason == "length":
        choice["finish_reason"] = "length"


def _data(sound: bytes) -> dict[str, str]:
    return {"data": base64.b64encode(sound).decode()} if sound else {}


class ChatStream:
    """Turns SGLang's event lines and PCM into our events, each call returning those that may leave now."""

    def __init__(self, request: ChatRequest, sample_rate: int, spoken: SpokenAnswers):
        self.late_status: int | None = None  # of an error that came after the first word
        self._request = request
        self._spoken = spoken
        self._audio_id = spoken.new_id()
        self._transcript = ""
        self._encoder = Encoder(request._format, sample_rate) if request.speaks else None
        self._head: dict[str, Any] | None = None  # what all chunks share: id, object, created, model
        self._early: list[bytes] = []  # sound that came before the role
        self._rest = b""  # of the sound: less than `WHOLE` bytes
        self._named = False  # the audio's id has left
        self._held: list[dict[str, Any]] = []  # from the first finish_reason on
        self._usage: dict[str, Any] | None = None
        self._counted: dict[int, dict[str, int]] = {}  # usage so far of each choice

    def text(self, line: str) -> list[bytes]:
        """One event of SGLang's chat stream. Raises Refused for an error before the first word, Aborted for
        an abort of a spoken answer."""
        if not line.startswith(DATA):
            return [line.encode()]  # a named event that a client asked for by header
        if line.startswith("[DONE]", len(DATA)):
            return []
        payload = orjson.loads(line[len(DATA) :])
        if "error" in payload:
            code = payload["error"].get("code")
            status = code if isinstance(code, int) else 500
            error = normalize(status, payload)
            if self._head is None:
                raise Refused(response_of(status, error))
            self.late_status = status
            return [event(error)]
        payload["id"] = self._request.rid  # of several choices, each has an id of its own
        if not payload["choices"] and payload.get("usage"):
            self._usage = payload["usage"]
            return []
        if self._request.speaks and any(choice.get("finish_reason") == ABORTED for choice in payload["choices"]):
            raise Aborted()  # there will be no sound to wait for
        if self._held or any(choice.get("finish_reason") for choice in payload["choices"]):
            self._held.append(payload)
            return []
        if payload.get("usage"):
            payload["usage"] = self._usage_so_far(payload)
        if self._request.speaks:
            for choice in payload["choices"]:
                self._transcript += choice["delta"].get("content") or ""
                if self._request.text_in == "transcript":
                    self._say_as_transcript(choice["delta"])
        events = [event(payload)]
        if self._head is None:
            self._head = {name: payload[name] for name in ("id", "object", "created", "model")}
            for pcm in self._early:
                events += self.sound(pcm)
        return events

    def _usage_so_far(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Of all choices; codec frames are counted at the end."""
        usage = payload["usage"]
        self._counted[payload["choices"][0]["index"]] = usage
        names = "completion_tokens", "reasoning_tokens"
        sums = {name: sum(counted.get(name) or 0 for counted in self._counted.values()) for name in names}
        return usage_details({**usage, **sums})

    def _say_as_transcript(self, delta: dict[str, Any]) -> None:
        text = delta.pop("content", None)
        if text:
            delta["audio"] = {**self._name(), "transcript": text}

    def _name(self) -> dict[str, str]:
        """The audio's id, once: clients that join deltas join strings."""
        if self._named:
            return {}
        self._named = True
        return {"id": self._audio_id}

    def sound(self, pcm: bytes) -> list[bytes]:
        assert self._encoder is not None
        if self._head is None:
            self._early.append(pcm)
            return []
        data = self._rest + self._encoder.encode(pcm)
        whole = len(data) // WHOLE * WHOLE
        self._rest = data[whole:]
        return [self._audio(_data(data[:whole]))] if whole else []

    def _audio(self, audio: dict[str, Any]) -> bytes:
        delta = {"audio": {**self._name(), **audio}}
        return event({**(self._head or {}), "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})

    def end(self, speech: Speech | None = None) -> list[bytes]:
        """After the last text and the last sound."""
        events = []
        if speech:
            expires_at = self._spoken.keep(self._audio_id, self._transcript)
            events.append(self._audio({**_data(self._rest), "expires_at": expires_at}))
        usage = usage_details(self._usage, speech.frames if speech else 0) if self._usage else None
        finishes = [payload for payload in self._held if payload["choices"]]
        for payload in finishes:
            for choice in payload["choices"]:
                finish_choice(choice, speech)
        if usage and finishes and not self._request._usage_in_own_chunk:
            finishes[-1]["usage"] = usage
        events += [event(payload) for payload in self._held]
        if usage and self._request._usage_in_own_chunk:
            events.append(event({**(self._head or {}), "choices": [], "usage": usage}))
        return events
