"""A server under load for minutes: every answer equals the one it got alone, and when all have left nothing stays."""

import argparse
import asyncio
import json
import random
import re
import shlex
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

import httpx
import psutil

from sglang_omni.benchmark import machine
from sglang_omni.benchmark.adapters import SAMPLE_BYTES
from sglang_omni.benchmark.mix import BAD, EVENTS, MIX, RATE, STREAM, WHOLE, Answer, Question, ask, pick
from sglang_omni.benchmark.processes import family
from sglang_omni.benchmark.server import Server, address, serve
from sglang_omni.benchmark.workload import CHATS

MIB = 2**20
GROWTH_LIMIT = 100 * MIB
"""Of the memory of all processes, from the first minute to the end: the thinker's cache fills, and nothing else may."""
PROGRESS_SECONDS = 15.0
ANSWER_SECONDS = 180.0  # whoever waits longer is not answered
REST_SECONDS = 10.0
STOP_SECONDS = 60.0
MANNERS = {"patient": 80, "slow": 5, "leaves": 7, "aborts": 5, "bad": 3}
OUTCOMES = "equal", "complete", "given up", "refused", "broken"


def memory(pid: int) -> int:
    """Proportional set size of a process and all below it, in bytes."""
    total = 0
    for process in family(pid):
        with suppress(psutil.NoSuchProcess):  # a decoder of media that has ended
            total += process.memory_full_info().pss
    return total


@dataclass
class Soak:
    """What is asked and seen; `broken` holds a sentence for each law that was found broken."""

    url: str
    seconds: float
    concurrency: int = 12
    seed: int = 0
    pid: int | None = None  # of the server, to see its memory
    alone: dict[Question, str] = field(default_factory=dict)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    first_audio: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)  # seconds of silence of every stream that was heard as it came
    audio_seconds: float = 0.0
    memory: dict[str, int] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    async def run(self) -> None:
        async with httpx.AsyncClient(base_url=self.url, timeout=None, limits=httpx.Limits()) as client:
            self.client = client
            for question in MIX:
                if question.fixed:
                    answer = await ask(client, question, WHOLE)
                    assert answer.complete, answer.error
                    self.alone[question] = answer.digest
            self.began = time.monotonic()
            watching = asyncio.create_task(self._watch())
            await asyncio.gather(*(self._be_client(random.Random(f"{self.seed}.{n}")) for n in range(self.concurrency)))
            self.seconds = time.monotonic() - self.began
            watching.cancel()
            await self._come_to_rest()

    # What clients do

    async def _be_client(self, draw: random.Random) -> None:
        while time.monotonic() - self.began < self.seconds:
            (manner,) = draw.choices([*MANNERS], [*MANNERS.values()])
            question, way = pick(draw)
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    if manner == "bad":
                        kind, outcome = "bad request", await self._be_refused(draw)
                    else:
                        kind, outcome = question.kind, await self._be_answered(draw, manner, question, way)
            except (httpx.TransportError, TimeoutError) as error:
                kind, outcome = question.kind, self._break(question, way, repr(error))
            self.counts[kind, outcome] += 1

    async def _be_refused(self, draw: random.Random) -> str:
        path, body = draw.choice(BAD)
        answer = await self.client.post(path, json=body)
        if answer.status_code == 400:
            return "refused"
        self.broken.append(f"a bad request was answered with {answer.status_code}: {answer.text[:200]}")
        return "broken"

    async def _be_answered(self, draw: random.Random, manner: str, question: Question, way: dict) -> str:
        if manner == "aborts" and not (way is EVENTS or (way is STREAM and question.path == CHATS)):
            manner = "leaves"  # bare bytes and whole answers could not tell
        left, moment = draw.uniform(0, 1.5), draw.randint(1, 12)
        aborted = False

        async def act(answer: Answer) -> bool:
            nonlocal moment, aborted
            if manner == "slow":
                await asyncio.sleep(0.1)
            moment -= 1
            if manner == "aborts" and moment == 0:
                aborted = True
                await self.client.post("/abort_request", json={"rid": answer.id})
            return True

        if manner == "leaves":
            try:
                async with asyncio.timeout(left):
                    return self._judge(question, way, await ask(self.client, question, way))
            except TimeoutError:
                return "given up"
        answer = await ask(self.client, question, way, act)
        if manner == "patient" and answer.player.began is not None:
            self.first_audio.append(answer.player.began - answer.asked)
            self.gaps.append(answer.player.silence)
        if aborted and not answer.complete:
            return "given up"
        return self._judge(question, way, answer)

    def _judge(self, question: Question, way: dict, answer: Answer) -> str:
        if answer.status in (429, 503):
            return "refused"
        if answer.status != 200 or answer.error or not answer.complete:
            return self._break(question, way, answer.error or f"incomplete after {answer.text[-50:]!r}")
        self.audio_seconds += len(answer.pcm) / RATE / SAMPLE_BYTES
        if not question.fixed:
            return "complete"
        if answer.digest == self.alone[question]:
            return "equal"
        return self._break(question, way, f"differs from its solo run: {answer.text!r}, {len(answer.pcm)} bytes")

    def _break(self, question: Question, way: dict, what: str) -> str:
        asked = {name: value for name, value in question.body.items() if name not in ("messages", "input")} | way
        self.broken.append(f"{question.kind} {asked}: {what:.500}")
        return "broken"

    # What is seen

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(min(PROGRESS_SECONDS, self.seconds / 4))
            elapsed, asked = time.monotonic() - self.began, self.counts.total()
            line = f"{elapsed:5.0f} s  {asked} requests, {asked / elapsed:.2f}/s"
            line += f"  {await self._ran_dry():.0f} streams ran dry  {len(self.broken)} laws broken"
            if used := await self._memory():
                line += f"  {used / MIB:.0f} MiB"
                if "start" not in self.memory and elapsed >= min(60, self.seconds / 2):
                    self.memory["start"] = used
            print(line, flush=True)

    async def _memory(self) -> int:
        return await asyncio.to_thread(memory, self.pid) if self.pid else 0

    async def _ran_dry(self) -> float:
        page = (await self.client.get("/metrics")).text
        return sum(map(float, re.findall(r"^sglang_omni:streams_ran_dry_total\{.*\} (.*)$", page, re.MULTILINE)))

    async def _come_to_rest(self) -> None:
        """All have left: no slot is taken, and the thinker holds nothing but its cache of prefixes."""
        deadline = time.monotonic() + REST_SECONDS
        while held := await self._held():
            if time.monotonic() > deadline:
                self.broken.append(f"still held {REST_SECONDS:g} s after the last client left: {held}")
                break
            await asyncio.sleep(0.2)
        if self.pid:
            self.memory["end"] = await self._memory()
            grown = self.memory["end"] - self.memory["start"]
            if grown > GROWTH_LIMIT:
                self.broken.append(f"memory grew by {grown / MIB:.0f} MiB (limit {GROWTH_LIMIT / MIB:.0f})")

    async def _held(self) -> dict:
        stages = (await self.client.get("/health")).json()["slots"]
        full = {"free": "slots", "free_pages": "pages"}
        held = {
            name: stage
            for name, stage in stages.items()
            if stage["waiting"] or any(stage[free] != stage[total] for free, total in full.items())
        }
        for load in (await self.client.get("/v1/loads")).json()["loads"]:
            names = "num_running_reqs", "num_waiting_reqs", "num_used_tokens"
            held |= {name: load[name] for name in names if load[name]}
        return held


def end(server: Server) -> list[str]:
    """Tells it to end; what it broke by its log, its exit code or what it left."""
    broken = []
    *_, said = server.output().partition("is ready at")
    if faults := said.splitlines()[4:]:
        broken.append("the log has errors: " + " | ".join(faults[:20]))
    processes = family(server.process.pid)
    left = [path for process in processes for path in _belongings(process.cmdline())]
    server.process.send_signal(signal.SIGTERM)
    try:
        if code := server.process.wait(STOP_SECONDS):
            broken.append(f"SIGTERM ended it with exit code {code}")
    except subprocess.TimeoutExpired:
        broken.append(f"it runs {STOP_SECONDS:g} s after SIGTERM")
    _, alive = psutil.wait_procs(processes, timeout=5)
    broken += [f"{process} outlived the server" for process in alive]
    broken += [f"{path} is left" for path in left if path.exists()]
    return broken


def _belongings(command: Sequence[str]) -> list[Path]:
    """Of a stage's process: the directory of its server's sockets, and the shared memory that has a link there."""
    if "sglang_omni.sidecar.process" not in command:
        return []
    home = Path(json.loads(command[-1])["sockets"])
    return [home, *(link.readlink() for link in home.iterdir() if link.is_symlink())]


def summary(soak: Soak, command: str) -> str:
    kinds = [*dict.fromkeys(question.kind for question in MIX), "bad request"]
    rows = [[kind, *(soak.counts[kind, outcome] for outcome in OUTCOMES)] for kind in kinds]
    rows.append(["all", *(sum(column) for column in list(zip(*rows, strict=True))[1:])])
    first = [0.0, 0.0, *soak.first_audio] if len(soak.first_audio) < 2 else soak.first_audio
    cuts = quantiles(first, n=100)
    dry = [silence for silence in soak.gaps if silence]
    figures = {
        **machine.facts(command),
        "load": f"{soak.seconds:.0f} s, {soak.concurrency} clients",
        "requests": f"{soak.counts.total()}, {soak.counts.total() / soak.seconds:.2f} a second",
        "sound": f"{soak.audio_seconds:.0f} s, {soak.audio_seconds / soak.seconds:.2f} a second",
        "first sound of a stream": f"median {median(first):.2f} s, p95 {cuts[94]:.2f} s, p99 {cuts[98]:.2f} s",
        "streams whose player fell silent": f"{len(dry)} of {len(soak.gaps)}, {sum(dry):.1f} s in all",
        "memory after the first minute (or half the time), at the end": ", ".join(
            f"{b / MIB:.0f} MiB" for b in soak.memory.values()
        )
        or "-",
    }
    laws = [f"- {law}" for law in soak.broken] or ["None."]
    return "\n".join(
        [
            machine.table(figures),
            "",
            "| | " + " | ".join(OUTCOMES) + " |",
            "|---" * (1 + len(OUTCOMES)) + "|",
            *("| " + " | ".join(map(str, row)) + " |" for row in rows),
            "",
            "Laws broken:",
            "",
            *laws,
        ]
    )


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="sgl-omni bench soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2, help="of load (default: %(default)s)")
    parser.add_argument("--concurrency", type=int, default=12, help="clients (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of what they ask (default: %(default)s)")
    parser.add_argument("--url", type=address, help="a running server (default: start one, and end it)")
    parser.add_argument("--pid", type=int, help="of the server at --url, to see its memory")
    parser.add_argument("--model-path", help="the checkpoint of a started server (default: the demo model)")
    parser.add_argument("--output", type=Path, help="also write the summary to this file")
    options = parser.parse_args(arguments)
    soak = Soak(options.url, 60 * options.minutes, options.concurrency, options.seed, options.pid)
    if options.url:
        asyncio.run(soak.run())
    else:
        from sglang_omni.models.qwen3_omni.demo import cached_demo_model

        model = ["--model-path", options.model_path or str(cached_demo_model())]
        with serve([*model, "--log-level", "error"], {"OMP_NUM_THREADS": "1"}) as server:
            soak.url, soak.pid = server.url, server.process.pid
            asyncio.run(soak.run())
            soak.broken += end(server)
    told = summary(soak, shlex.join(["scripts/bench", "soak", *arguments]))
    print(f"\n{told}")
    if options.output:
        options.output.write_text(f"# Soak\n\n{told}\n")
    return 1 if soak.broken else 0
