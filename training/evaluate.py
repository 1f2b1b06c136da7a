"""What the demo model can do, asked of a server over HTTP with material that it was not trained with.

    scripts/evaluate-demo [--url http://localhost:8000] [--quick]

Its speech is judged by Whisper, which knows nothing of it; its answers by what is right. Ends with one line, in per
cent: the words that Whisper misheard in open English and in sentences of the domain, and the right answers in dialogue,
about pictures and about spoken digits and commands.
"""

import argparse
import asyncio
import base64
import io
import json
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import soundfile
from tqdm import tqdm

from sglang_omni.benchmark.server import serve
from sglang_omni.benchmark.words import DIGITS, RATE, Recogniser, edits
from sglang_omni.models.qwen3_omni.demo import default_model
from training import recognise, sentences
from training.errors import MissingTool
from training.spelling import errors, words

VOICES = ("chelsie", "ethan")
MODES: dict[str, dict[str, Any]] = {"greedy": {"temperature": 0}, "default sampling": {}}
PARTS = ("speech", "dialogue", "paraphrases", "vision", "video", "hearing", "spoken", "human")
TOOLS = (
    ("flite", "flite", "flite"),
    ("eSpeak NG", "espeak-ng", "espeak-ng"),
    ("festival", "text2wave", "festival"),
    ("festival's voice ked", "/usr/share/festival/voices/english/ked_diphone", "festvox-kdlpc16k"),
)
"""What says what the model is to hear."""

SHORTEST, QUIETEST = 0.2, 0.003
"""Seconds, and the root of the mean square; what is shorter or quieter counts as empty."""
CALLED_OUT = "digits", "commands"
"""What `digits` of the last line is about."""


@dataclass(frozen=True)
class Said:
    """One text that was spoken, and what was understood. `failure` is why it does not count as speech, else empty."""

    part: str
    voice: str
    mode: str
    text: str
    heard: str
    errors: int
    words: int
    seconds: float
    failure: str = ""
    second_errors: int | None = None  # as pocketsphinx understood it


@dataclass(frozen=True)
class Answered:
    part: str
    task: str
    asked: str
    accepted: tuple[str, ...]
    answer: str
    right: bool


@dataclass(frozen=True)
class Floor:
    """Per cent of words misheard of the synthesiser that a voice was learned from."""

    part: str
    voice: str
    rate: float


@dataclass
class Results:
    said: list[Said] = field(default_factory=list)
    answered: list[Answered] = field(default_factory=list)
    floors: list[Floor] = field(default_factory=list)

    @classmethod
    def read(cls, file: Path) -> "Results":
        """What `write` has written."""
        results = cls()
        lists = {
            "Said": (Said, results.said),
            "Answered": (Answered, results.answered),
            "Floor": (Floor, results.floors),
        }
        for line in file.read_text().splitlines():
            one = json.loads(line)
            kind, found = lists[one.pop("kind")]
            found.append(kind(**one))
        return results

    def write(self, file: Path) -> None:
        """JSON lines."""
        every = (*self.said, *self.answered, *self.floors)
        file.write_text("".join(json.dumps({"kind": type(one).__name__, **asdict(one)}) + "\n" for one in every))

    def error_rate(self, part: str) -> float:
        """Per cent: the mean over voices and modes of misheard words."""
        return float(np.mean([rate(group) for group in grouped(self.of(part), "voice", "mode").values()] or [np.nan]))

    def of(self, part: str) -> list[Said]:
        return [one for one in self.said if one.part == part]

    def share_right(self, part: str, *tasks: str) -> float:
        """Per cent, of all tasks of a part or of some."""
        right = [one.right for one in self.answered if one.part == part and (not tasks or one.task in tasks)]
        return 100 * sum(right) / len(right) if right else float("nan")

    @property
    def line(self) -> str:
        return (
            f"open_wer={self.error_rate('open'):.1f} closed_wer={self.error_rate('closed'):.1f} "
            f"dialogue={self.share_right('dialogue'):.1f} vision={self.share_right('vision'):.1f} "
            f"digits={self.share_right('hearing', *CALLED_OUT):.1f}"
        )


def rate(group: Sequence[Said], second: bool = False) -> float:
    """Per cent of the words of `group` that were misheard."""
    count = sum((one.second_errors or 0) if second else one.errors for one in group)
    return 100 * count / max(1, sum(one.words for one in group))


def digits_misheard(group: Sequence[Answered]) -> tuple[int, int]:
    """How many digits the sounds of `group` said, and how many to insert, delete or replace make the answers right."""
    pairs = [[_digits(one.accepted[0]), _digits(one.answer)] for one in group]
    return sum(len(said) for said, _ in pairs), sum(edits(said, heard) for said, heard in pairs)


def _digits(text: str) -> list[str]:
    return [word for word in words(text) if word in DIGITS]


def grouped(results: Iterable[Any], *names: str) -> dict[tuple[str, ...], list[Any]]:
    groups: dict[tuple[str, ...], list[Any]] = defaultdict(list)
    for one in results:
        groups[tuple(getattr(one, name) for name in names)].append(one)
    return groups


class Examiner:
    """Asks a server, at most `at_once` at a time."""

    def __init__(self, client: httpx.AsyncClient, at_once: int, hear: Recogniser, second: Recogniser | None = None):
        self.client = client
        self.hear, self.second = hear, second
        self._turns = asyncio.Semaphore(at_once)

    async def all(self, name: str, asked: Sequence[Any], how: Callable[[Any], Awaitable[Any]]) -> list[Any]:
        with tqdm(total=len(asked), desc=name, mininterval=5) as progress:

            async def one(item: Any) -> Any:
                async with self._turns:
                    result = await how(item)
                progress.update()
                return result

            return await asyncio.gather(*map(one, asked))

    async def speak(self, asked: tuple[str, str, str, str]) -> Said:
        """(part, voice, mode, text)"""
        part, voice, mode, text = asked
        body = {"input": text, "voice": voice, "response_format": "wav", "seed": 1, **MODES[mode]}
        response = await self.client.post("/v1/audio/speech", json=body)
        response.raise_for_status()
        sound = await asyncio.to_thread(recognise.read, io.BytesIO(response.content))
        seconds = len(sound) / RATE
        heard = await asyncio.to_thread(self.hear, sound) if seconds >= SHORTEST else ""
        wrong, count = errors(text, heard)
        second = None
        if self.second:
            second = errors(text, await asyncio.to_thread(self.second, sound))[0]
        failure = failed(text, sound, response.headers.get("x-finish-reason", ""))
        return Said(part, voice, mode, text, heard, wrong, count, round(seconds, 2), failure, second)

    async def answer(self, part: str, item: Any) -> Answered:
        body = {"messages": item.messages, "temperature": 0, "max_tokens": 160}
        response = await self.client.post("/v1/chat/completions", json=body)
        response.raise_for_status()
        answer = response.json()["choices"][0]["message"]["content"] or ""
        right = any(words(answer) == words(accepted) for accepted in item.accepted)
        return Answered(part, item.task, written(item.messages), item.accepted, answer, right)

    async def converse(self, part: str, item: Any) -> tuple[Answered, Said]:
        """What is answered, and what is understood of it, which is compared with the answer that was due."""
        voice = VOICES[0]
        asked = {"messages": item.messages, "temperature": 0, "max_tokens": 160}
        aloud = {"modalities": ["text", "audio"], "audio": {"voice": voice, "format": "wav"}}
        response = await self.client.post("/v1/chat/completions", json=asked | aloud)
        response.raise_for_status()
        choice = response.json()["choices"][0]
        answer, due = choice["message"]["content"] or "", item.accepted[0]
        sound = recognise.read(io.BytesIO(base64.b64decode(choice["message"]["audio"]["data"])))
        heard = await asyncio.to_thread(self.hear, sound)
        seconds = len(sound) / RATE
        right = any(words(answer) == words(accepted) for accepted in item.accepted)
        failure = failed(due, sound, choice["finish_reason"])
        answered = Answered(part, item.task, written(item.messages), item.accepted, answer, right)
        return answered, Said(part, voice, "greedy", due, heard, *errors(due, heard), round(seconds, 2), failure)


def failed(text: str, sound: np.ndarray, finish_reason: str) -> str:
    """Why a sound is no reading of `text` at all: `empty`, `runaway`, or nothing. English takes 0.07 s a character."""
    seconds = len(sound) / RATE
    if seconds < SHORTEST or np.sqrt(np.mean(np.square(sound))) < QUIETEST:
        return "empty"
    return "runaway" if finish_reason == "length" or seconds > 1 + 0.12 * len(text) else ""


def written(messages: Sequence[dict[str, Any]]) -> str:
    """The text of a conversation's last turn; media are named."""
    content = messages[-1]["content"]
    if isinstance(content, str):
        return content
    return " ".join(part.get("text") or f"<{part['type']}>" for part in content)


async def examine(url: str, options: argparse.Namespace) -> Results:
    """Writes what there is to the options' `output` after every part."""
    from training import held_out

    quick, seed, results = options.quick, options.seed, Results()
    hear = await asyncio.to_thread(recognise.whisper)
    async with httpx.AsyncClient(base_url=url, timeout=300) as client:
        examiner = Examiner(client, options.at_once, hear, recognise.pocketsphinx() if options.pocketsphinx else None)
        closed, opened = sentences.closed_text(), open_text()
        if quick:
            closed, opened = closed[::5], opened[::5]
        asked = [("closed", voice, mode, text) for voice in VOICES for mode in MODES for text in closed]
        asked += [("open", voice, "default sampling", text) for voice in VOICES for text in opened]
        if "speech" in options.parts:
            results.said = await examiner.all("speech", asked, examiner.speak)
            results.write(options.output)
        material: dict[str, Callable[[], list[Any]]] = {
            "dialogue": lambda: held_out.dialogue(60 if quick else 300, seed),
            "paraphrases": lambda: held_out.paraphrases()[:: 5 if quick else 1],
            "vision": lambda: held_out.vision(40 if quick else 200, seed),
            "video": lambda: held_out.videos(10 if quick else 50, seed),
            "hearing": lambda: held_out.hearing(60 if quick else 300, seed),
            "spoken": lambda: held_out.spoken(10 if quick else 50, seed),
            "human": held_out.human,
        }
        for part in (part for part in material if part in options.parts):
            items = await asyncio.to_thread(material[part])
            if part == "spoken":
                for answered, said in await examiner.all(part, items, partial(examiner.converse, part)):
                    results.answered.append(answered)
                    results.said.append(said)
            else:
                results.answered += await examiner.all(part, items, partial(examiner.answer, part))
            results.write(options.output)
    return results


def open_text() -> list[str]:
    return resources.files("training").joinpath("open_text.txt").read_text().splitlines()


def floors(results: Results, hear: Recogniser) -> list[Floor]:
    """The teachers say the same sentences. Raises MissingTool without flite."""
    from training.speech import VOICES as TEACHERS
    from training.speech import say

    found = []
    for (part, voice), group in grouped(results.said, "part", "voice").items():
        times = Counter(one.text for one in group)
        pairs = []
        for text in tqdm(sorted(times), desc=f"teacher of {voice}, {part}", mininterval=5):
            with io.BytesIO() as file:
                soundfile.write(file, say(text, TEACHERS[voice])[0], 24_000, format="WAV")
                file.seek(0)
                pairs += [errors(text, hear(recognise.read(file)))] * times[text]
        found.append(Floor(part, voice, 100 * sum(wrong for wrong, _ in pairs) / sum(count for _, count in pairs)))
    return found


def page(results: Results) -> str:
    """Tables for people to read."""
    floor = {(one.part, one.voice): one.rate for one in results.floors}
    speech, answers = [], []
    for (part, voice, mode), group in grouped(results.said, "part", "voice", "mode").items():
        teacher = f"{floor[part, voice]:.1f} %" if (part, voice) in floor else ""
        empty, runaway = (sum(one.failure == kind for one in group) for kind in ("empty", "runaway"))
        misheard = f"{rate(group):.1f} %"
        if group[0].second_errors is not None:
            misheard += f" (pocketsphinx {rate(group, second=True):.1f} %)"
        speech.append([part, voice, mode, len(group), misheard, teacher, empty, runaway])
    for (part, task), group in grouped(results.answered, "part", "task").items():
        answers.append([part, task, len(group), f"{100 * sum(one.right for one in group) / len(group):.1f} %"])
        if task == "digits":
            count, wrong = digits_misheard(group)
            answers.append([part, "digits, one by one", count, f"{100 * (1 - wrong / count):.1f} %"])
        if (part, task) == ("video", "change"):
            noticed = [one.answer.startswith("The colour changes") for one in group]
            answers.append([part, "change, whatever colours", len(group), f"{100 * sum(noticed) / len(group):.1f} %"])
    for (part,), group in grouped(results.answered, "part").items():
        answers.append([part, "**all**", len(group), f"**{results.share_right(part):.1f} %**"])
    tables = (
        _table("speech | voice | mode | texts | misheard | teacher | empty | runaway", speech),
        _table("answers | task | asked | right", answers),
    )
    return "\n\n".join(table for table in tables if table)


def _table(head: str, rows: Sequence[Sequence[Any]]) -> str:
    """In Markdown; nothing without rows."""
    lines = [head, "|".join(["---"] * len(head.split("|"))), *(" | ".join(map(str, row)) for row in rows)]
    return "\n".join(f"| {line} |" for line in lines) if rows else ""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="scripts/evaluate-demo", description=__doc__.split("\n")[0])
    parser.add_argument("--url", help="a server that runs (default: one is started)")
    parser.add_argument("--model-path", help="the checkpoint of a started server (default: the one served by default)")
    parser.add_argument("--quick", action="store_true", help="a fifth of the material")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to ask about (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="of the questions, pictures and sounds (default: 0)")
    parser.add_argument("--at-once", type=int, default=6, help="requests at a time (default: %(default)s)")
    parser.add_argument("--pocketsphinx", action="store_true", help="also ask pocketsphinx what it hears")
    parser.add_argument("--output", type=Path, default=Path("evaluation.jsonl"), help="every answer (%(default)s)")
    options = parser.parse_args(arguments)
    begun = time.monotonic()
    for tool, path, package in TOOLS:
        if {"hearing", "spoken"} & set(options.parts) and not (shutil.which(path) or Path(path).exists()):
            parser.exit(1, f"To ask what it hears, {tool} is missing: on Debian, apt install {package}\n")
    model = options.model_path or str(default_model())
    started = nullcontext() if options.url else serve(["--model-path", model], {"OMP_NUM_THREADS": "1"})
    with started as server:
        url = options.url or server.url
        results = asyncio.run(examine(url, options))
    try:
        results.floors = floors(results, recognise.whisper())
        results.write(options.output)
    except MissingTool as error:
        print(f"The teachers say nothing: {error}")
    print("\n" + page(results))
    print(f"\n{time.monotonic() - begun:.0f} s; every answer is in {options.output}")
    print(results.line)


if __name__ == "__main__":
    main()
