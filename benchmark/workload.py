"""What a load asks, as data: files of JSON lines, each a request in this server's shape."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

CHATS, SPEECHES = "/v1/chat/completions", "/v1/audio/speech"
FOLDER = Path(__file__).parent / "workloads"


def has_one_answer(body: Mapping[str, Any]) -> bool:
    """It is greedy, or has a seed."""
    return body.get("seed") is not None or body.get("temperature") == 0


@dataclass(frozen=True, eq=False)
class Line:
    """A request, but for the model's name and the way it is streamed; and the file and line where it stands."""

    path: str
    body: dict[str, Any]
    workload: str = ""
    number: int = 0

    @property
    def speaks(self) -> bool:
        return self.path == SPEECHES or "audio" in self.body.get("modalities", ())

    @property
    def words(self) -> str | None:
        """What the sound is to say, if the request says it."""
        return self.body["input"] if self.path == SPEECHES else None

    def in_voice(self, voice: str | None) -> "Line":
        if voice is None or not self.speaks:
            return self
        if self.path == SPEECHES:
            return replace(self, body={**self.body, "voice": voice})
        return replace(self, body={**self.body, "audio": {**self.body.get("audio", {}), "voice": voice}})


def names() -> list[str]:
    return sorted(file.stem for file in FOLDER.glob("*.jsonl"))


def read(name: str) -> list[Line]:
    """The lines of a workload that ships with the package, or of a file. Raises ValueError with what is wrong."""
    file = FOLDER / f"{name}.jsonl" if name in names() else Path(name)
    if not file.is_file():
        raise ValueError(f"there is no workload {name}. Available: {', '.join(names())}, or a path of yours")
    lines = []
    for number, text in enumerate(file.read_text().splitlines(), 1):
        try:
            line = Line(**json.loads(text), workload=file.name, number=number)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{file.name}, line {number}: {error}") from error
        if line.path not in (CHATS, SPEECHES):
            raise ValueError(f"{file.name}, line {number}: path is {line.path}, not {CHATS} or {SPEECHES}")
        lines.append(line)
    if not lines:
        raise ValueError(f"{file.name} has no lines")
    return lines
