"""Load on a server that speaks OpenAI's API: how soon, how fast, how evenly its sound comes, and whether it is right.

Clients that each ask again when they are answered (--concurrency), or requests that arrive by themselves (--rate)."""

import argparse
import asyncio
import json
import os
import random
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, islice, takewhile
from pathlib import Path
from typing import Any

import httpx
from tqdm import tqdm

from sglang_omni.benchmark import machine, report, workload
from sglang_omni.benchmark.adapters import ADAPTERS
from sglang_omni.benchmark.asking import Answer, Asker
from sglang_omni.benchmark.loops import closed_loop, open_loop, poisson
from sglang_omni.benchmark.results import Point, Result, Run
from sglang_omni.benchmark.server import serve
from sglang_omni.benchmark.words import Recogniser, recogniser, samples
from sglang_omni.benchmark.workload import Line, has_one_answer


@dataclass
class Load:
    """What is asked, how, and what came of it; `failed` holds a sentence for each check that failed."""

    lines: list[Line]
    points: list[Point]
    requests: int | None = None  # of a repeat; None: 20, or four for each client if that is more
    seconds: float | None = None  # of a repeat, instead of a number of requests
    repeats: int = 3
    warm_up: int | None = None  # requests before each point; None: one for each client, or four
    seed: int = 0
    check_solo: bool = False
    keep_sound: bool = False
    results: list[Result] = field(default_factory=list)
    alone: dict[Line, str] = field(default_factory=dict)
    sounds: dict[str, Answer] = field(default_factory=dict)  # an answer of each digest, with its sound
    failed: list[str] = field(default_factory=list)

    async def run(self, asker: Asker) -> None:
        if self.check_solo:
            await self._ask_alone(asker)
        with tqdm(total=self._total(), unit="request", disable=None) as self._bar:
            for point in self.points:
                self._bar.set_description(str(point))
                await self._warm_up(asker, point)
                self.results.append(Result(point, [await self._run(asker, point, n) for n in range(self.repeats)]))
        self._judge()

    async def _ask_alone(self, asker: Asker) -> None:
        for number, line in enumerate(self.lines, 1):
            if has_one_answer(line.body):
                answer = await asker.ask(line)
                if answer.error:
                    self.failed.append(f"line {number} got no answer alone: {answer.error}, {answer.message}")
                else:
                    self.alone[line] = answer.digest

    async def _warm_up(self, asker: Asker, point: Point) -> None:
        number = point.clients or 4 if self.warm_up is None else self.warm_up
        await closed_loop(point.clients or 1, range(number), lambda n, due: asker.ask(self._line(n), due))

    async def _run(self, asker: Asker, point: Point, repeat: int) -> Run:
        async def ask(number: int, due: float) -> Answer:
            answer = await asker.ask(self._line(number), due)
            self._note(answer)
            return answer

        began = time.perf_counter()
        if point.clients:
            answers = await closed_loop(point.clients, self._numbers(point), ask)
        else:
            answers = await open_loop(self._times(point, repeat), ask)
        return Run(time.perf_counter() - began, answers)

    def _line(self, number: int) -> Line:
        """The same of each number at every point: the lines in an order of the seed's, again and again."""
        order = random.Random(self.seed).sample(self.lines, len(self.lines))
        return order[number % len(order)]

    def _count(self, point: Point) -> int:
        return self.requests or max(20, 4 * (point.clients or 0))

    def _total(self) -> int | None:
        return None if self.seconds else self.repeats * sum(map(self._count, self.points))

    def _numbers(self, point: Point) -> Iterator[int]:
        if self.seconds is None:
            return iter(range(self._count(point)))
        end = time.perf_counter() + self.seconds
        return takewhile(lambda _: time.perf_counter() < end, count())

    def _times(self, point: Point, repeat: int) -> Iterator[float]:
        times = poisson(point.rate or 0, f"{self.seed}.{repeat}")
        if self.seconds is None:
            return islice(times, self._count(point))
        return takewhile(lambda offset: offset < (self.seconds or 0), times)

    def _note(self, answer: Answer) -> None:
        if not answer.error and (alone := self.alone.get(answer.line)):
            answer.equal = answer.digest == alone
        if self.keep_sound and not answer.error and answer.pcm:
            self.sounds.setdefault(answer.digest, replace(answer))
        answer.pcm = b""  # a long load would fill the memory
        self._bar.update()

    def _judge(self) -> None:
        for result in self.results:
            answers = result.answers
            if not (answered := [answer for answer in answers if not answer.error]):
                kinds = ", ".join(f"{number} of {kind}" for kind, number in result.errors.items())
                self.failed.append(f"{result.point}: none of {len(answers)} requests was answered ({kinds})")
            if differ := [answer for answer in answered if answer.equal is False]:
                self.failed.append(
                    f"{result.point}: {len(differ)} of {len(answered)} answers differ from what the same request got "
                    f"alone; the first has {differ[0].figures.audio:.2f} s of sound and says {differ[0].text[:100]!r}"
                )

    def transcribe(self, hear: Recogniser) -> None:
        """What each sound was understood to say, beside what it should; equal answers are heard once."""
        heard = {
            digest: hear(samples(answer.pcm, answer.sample_rate, answer.channels))
            for digest, answer in tqdm(self.sounds.items(), unit="sound", desc="transcribing", disable=None)
        }
        for answer in (answer for result in self.results for answer in result.answers):
            answer.heard = heard.get(answer.digest) if not answer.error else None


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sgl-omni bench load", description=__doc__)
    parser.add_argument("--url", help="a running server (default: start one, and end it)")
    parser.add_argument("--adapter", choices=ADAPTERS, default="sgl-omni", help="the server's shape (default: ours)")
    parser.add_argument("--model", help="as the server calls it (default: the first that it lists)")
    parser.add_argument("--model-path", help="the checkpoint of a started server (default: the demo model)")
    parser.add_argument(
        "--workload",
        default="chat",
        metavar="NAME",
        help=f"{', '.join(workload.names())}, or a file of JSON lines (default: %(default)s)",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--concurrency", type=positive(int), nargs="+", default=[1, 4, 8], help="clients (default: 1 4 8)")
    how.add_argument("--rate", type=positive(float), nargs="+", help="requests a second, as a Poisson process")
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--requests", type=positive(int), help="of each repeat (default: 20, or four for each client if that is more)"
    )
    length.add_argument("--duration", type=positive(float), metavar="SECONDS", help="of each repeat")
    parser.add_argument("--repeats", type=positive(int), default=3, help="of each point (default: %(default)s)")
    parser.add_argument(
        "--warm-up", type=int, help="requests before each point (default: one for each client, or 4 with --rate)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of order and arrivals (default: %(default)s)")
    parser.add_argument("--voice", help="for every request, instead of its own")
    parser.add_argument("--extra", type=an_object, default={}, metavar="JSON", help="more fields for every request")
    parser.add_argument("--timeout", type=positive(float), default=300, help="of an answer, in seconds (default: 300)")
    parser.add_argument("--check-solo", action="store_true", help="answers must equal those they get alone")
    parser.add_argument("--transcribe", action="store_true", help="word error rate of the sound")
    parser.add_argument("--recogniser-model", type=Path, metavar="DIR", help="faster-whisper's (default: pocketsphinx)")
    parser.add_argument("--output", type=Path, metavar="DIR", help="for requests.jsonl, summary.md and the plot")
    options = parser.parse_args(arguments)
    try:
        options.lines = [line.in_voice(options.voice) for line in workload.read(options.workload)]
        options.recogniser = recogniser(options.recogniser_model) if options.transcribe else None
    except (ValueError, ImportError) as error:
        parser.error(str(error))
    if options.check_solo and not any(has_one_answer(line.body) for line in options.lines):
        parser.error("--check-solo needs lines with one right answer: temperature 0, or a seed")
    return options


def positive(kind: type[int] | type[float]) -> Callable[[str], int | float]:
    def number(text: str) -> int | float:
        if not (value := kind(text)) > 0:
            raise argparse.ArgumentTypeError(f"{text} is not more than 0")
        return value

    return number


def an_object(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text} is no JSON object")
    return value


async def measure(load: Load, asker: Asker) -> None:
    async with asker:
        try:
            asker.model = asker.model or await asker.find_model()
        except (httpx.HTTPError, LookupError, ValueError) as error:
            raise SystemExit(f"{asker.url} lists no model, and --model names none: {error!r}") from error
        await load.run(asker)


def described(options: argparse.Namespace, asker: Asker) -> dict[str, str]:
    where = options.url or "started for this load, on this machine"
    length = f"{options.duration:g} s" if options.duration else "a fixed number of requests"
    return {
        "server": f"{where}; {options.adapter}, model {asker.model}",
        "load": f"workload {options.workload}, {len(options.lines)} lines; {options.repeats} repeats of {length}",
    }


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    rates = [Point(rate=rate) for rate in options.rate or ()]
    load = Load(
        options.lines,
        rates or [Point(clients=clients) for clients in options.concurrency],
        options.requests,
        options.duration,
        options.repeats,
        options.warm_up,
        options.seed,
        options.check_solo,
        options.transcribe,
    )
    asker = Asker(options.url, ADAPTERS[options.adapter], options.model, options.extra, options.timeout)
    asker.api_key = os.environ.get("OPENAI_API_KEY", "")
    if options.url:
        asyncio.run(measure(load, asker))
    else:
        model = ["--model-path", options.model_path] if options.model_path else []
        with serve([*model, "--log-level", "error"], {"OMP_NUM_THREADS": "1"}) as server:
            asker.url = server.url
            asyncio.run(measure(load, asker))
    if options.recogniser:
        load.transcribe(options.recogniser)
    facts = machine.facts(shlex.join(["sgl-omni", "bench", "load", *arguments]))
    told = report.page(load.results, load.failed, facts | described(options, asker))
    print(told)
    if options.output:
        report.write(options.output, f"Load: {options.workload}, {asker.model}", told, load.results)
    for sentence in load.failed:
        print(f"sgl-omni bench load: {sentence}", file=sys.stderr)
    return 1 if load.failed else 0
