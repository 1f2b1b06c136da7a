"""A load on a server, from the first warm-up to the last check: points, their repeats, and what came of them."""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count, islice, takewhile

from tqdm import tqdm

from sglang_omni.benchmark.asking import Answer, Asker
from sglang_omni.benchmark.loops import closed_loop, open_loop, poisson
from sglang_omni.benchmark.results import Point, Result, Run
from sglang_omni.benchmark.words import Recogniser, samples
from sglang_omni.benchmark.workload import Line, has_one_answer


@dataclass
class Experiment:
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
        for number, line in enumerate(tqdm(self.lines, desc="alone", unit="request", disable=None), 1):
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
