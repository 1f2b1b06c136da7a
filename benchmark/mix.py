"""What the clients of a soak ask, as data, and what they get."""

import base64
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from sglang_omni.audio.player import Player
from sglang_omni.benchmark.adapters import ADAPTERS, SAMPLE_BYTES
from sglang_omni.benchmark.asking import digest
from sglang_omni.benchmark.workload import CHATS, SPEECHES, has_one_answer

TRANSCRIPTIONS = "/v1/audio/transcriptions"
RATE = 24_000
SHAPE = ADAPTERS["sgl-omni"]
DATA = Path(__file__).resolve().parents[1] / "tests" / "data"
STORY = "The lighthouse keeper counts the ships. One comes from the north, and two from the south. "
VOICES = "ethan", "chelsie", "aiden"
GREEDY, SEEDED, FREE = {"temperature": 0}, {"seed": 11, "temperature": 1.0}, {"temperature": 1.0}
WHOLE: dict[str, Any] = {}
STREAM, EVENTS = {"stream": True}, {"stream_format": "sse"}


@dataclass(frozen=True, eq=False)
class Question:
    """A request, to be asked in several ways that all have the same answer; `weight` is how often, beside others."""

    kind: str
    path: str
    body: dict[str, Any]
    weight: int = 3
    file: Path | None = None

    @property
    def ways(self) -> Sequence[dict[str, Any]]:
        return (WHOLE, STREAM, EVENTS) if self.path == SPEECHES else (WHOLE, STREAM)

    @property
    def fixed(self) -> bool:
        """It has one answer."""
        return has_one_answer(self.body)


def _chat(kind: str, text: str, sampling: dict[str, Any], weight: int = 3, **fields: Any) -> Question:
    messages = [{"role": "user", "content": [*fields.pop("parts", ()), {"type": "text", "text": text}]}]
    return Question(kind, CHATS, {"messages": messages, "max_tokens": 24, **sampling, **fields}, weight)


def _aloud(voice: str) -> dict[str, Any]:
    return {"modalities": ["text", "audio"], "audio": {"voice": voice, "format": "pcm16"}}


def _speech(kind: str, text: str, voice: str, sampling: dict[str, Any], weight: int = 3) -> Question:
    return Question(kind, SPEECHES, {"input": text, "voice": voice, "response_format": "pcm", **sampling}, weight)


def _base64(name: str) -> str:
    return base64.b64encode((DATA / name).read_bytes()).decode()


PICTURE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_base64('chelsea.png')}"}}
SOUND = {"type": "input_audio", "input_audio": {"data": _base64("hello_world.wav"), "format": "wav"}}
MIX = (
    *(_chat("chat", f"{n} ships. Which one is first?", how) for n in (2, 3) for how in (GREEDY, SEEDED, FREE)),
    _chat("long chat", STORY * 20, GREEDY, 1, max_tokens=200),
    *(_chat("spoken chat", "Who lives here?", how, **_aloud(voice)) for voice in VOICES for how in (GREEDY, SEEDED)),
    _chat("spoken chat", "And who does not?", FREE, **_aloud("ethan")),
    _chat("picture or sound", "What is this?", GREEDY, 2, parts=[PICTURE], **_aloud("chelsie")),
    _chat("picture or sound", "What is being said?", SEEDED, 2, parts=[SOUND], **_aloud("aiden")),
    _chat("picture or sound", "What do you see and hear?", SEEDED, 1, parts=[PICTURE, SOUND]),
    *(_speech("speech", "One two three.", voice, how) for voice in VOICES for how in (GREEDY, SEEDED)),
    _speech("speech", "Four five six.", "aiden", FREE),
    _speech("long speech", STORY * 7, "chelsie", SEEDED, 1),
    Question("transcription", TRANSCRIPTIONS, {"max_completion_tokens": 32, **GREEDY}, 2, DATA / "counting.wav"),
)
BAD: tuple[tuple[str, dict[str, Any]], ...] = (
    (CHATS, {"messages": []}),
    (CHATS, {**MIX[0].body, "temperature": "hot"}),
    (CHATS, {**MIX[0].body, **_aloud("nobody")}),
    (SPEECHES, {"input": " "}),
    (SPEECHES, {"input": "Hello.", "response_format": "midi"}),
)


@dataclass
class Answer:
    """What came, as it came; `player` heard the sound of a stream."""

    status: int
    id: str = ""
    text: str = ""
    pcm: bytes = b""
    complete: bool = False
    error: str = ""
    asked: float = field(default_factory=time.monotonic)
    player: Player = field(default_factory=Player)

    @property
    def digest(self) -> str:
        return digest(self.text, self.pcm)

    def hear(self, pcm: bytes) -> None:
        self.pcm += pcm
        self.player.add(time.monotonic(), len(pcm) / RATE / SAMPLE_BYTES)

    def read_event(self, line: str) -> None:
        """One line of an event stream."""
        if line == "data: [DONE]" or not line:
            return
        piece = SHAPE.read(json.loads(line.removeprefix("data: ")))
        self.error = piece.error or self.error
        self.text += piece.text
        self.hear(piece.pcm)
        self.complete = self.complete or piece.last

    def read_whole(self, body: bytes, speech: bool) -> None:
        self.complete = True
        if speech:
            self.pcm = body
            return
        said = json.loads(body)
        if "text" in said:
            self.text = said["text"]
            return
        message = said["choices"][0]["message"]
        self.text = message["content"] or ""
        self.pcm = base64.b64decode((message.get("audio") or {}).get("data", ""))


async def ask(
    client: httpx.AsyncClient, question: Question, way: dict[str, Any], act: Callable | None = None
) -> Answer:
    """The answer to its end. `await act(answer)` follows each piece of a stream; False leaves."""
    if question.file:
        form = {name: str(value).lower() for name, value in {**question.body, **way}.items()}
        asked: dict[str, Any] = {"data": form, "files": {"file": (question.file.name, question.file.read_bytes())}}
    else:
        asked = {"json": {**question.body, **way}}
    answer = Answer(0)
    async with client.stream("POST", question.path, **asked) as response:
        answer.status, answer.id = response.status_code, response.headers.get("x-request-id", "")
        if answer.status != 200:
            answer.error = (await response.aread()).decode()
        elif response.headers["content-type"].startswith("text/event-stream"):
            async for line in response.aiter_lines():
                answer.read_event(line)
                if act and not await act(answer):
                    return answer
        elif way:
            async for pcm in response.aiter_bytes():
                answer.hear(pcm)
                if act and not await act(answer):
                    return answer
            answer.complete = True
        else:
            answer.read_whole(await response.aread(), question.path == SPEECHES)
    return answer


def pick(draw: random.Random) -> tuple[Question, dict[str, Any]]:
    (question,) = draw.choices(MIX, [question.weight for question in MIX])
    return question, draw.choice(question.ways)
