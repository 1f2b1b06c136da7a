"""Load on a server that speaks OpenAI's API: how soon, how fast, how evenly its sound comes, and whether it is right.

Clients that each ask again when they are answered (--concurrency), or requests that arrive by themselves (--rate)."""

import argparse
import asyncio
import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx

from sglang_omni.benchmark import machine, report, workload
from sglang_omni.benchmark.adapters import ADAPTERS
from sglang_omni.benchmark.asking import Asker
from sglang_omni.benchmark.experiment import Experiment
from sglang_omni.benchmark.results import Point
from sglang_omni.benchmark.server import address, serve
from sglang_omni.benchmark.words import recogniser
from sglang_omni.benchmark.workload import has_one_answer


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sgl-omni bench load", description=__doc__)
    parser.add_argument("--url", type=address, help="a running server (default: start one, and end it)")
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
    if options.requests and not options.rate and options.requests < max(options.concurrency):
        parser.error(f"--requests {options.requests} leaves some of {max(options.concurrency)} clients without any")
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


async def measure(experiment: Experiment, asker: Asker) -> None:
    async with asker:
        try:
            asker.model = asker.model or await asker.find_model()
        except (httpx.HTTPError, LookupError, TypeError, ValueError) as error:
            raise SystemExit(f"{asker.url} lists no model, and --model names none: {error!r}") from error
        await experiment.run(asker)


def facts(options: argparse.Namespace, asker: Asker, arguments: Sequence[str]) -> dict[str, str]:
    where = options.url or "started for this load, on this machine"
    length = f"{options.duration:g} s" if options.duration else "a number of requests"
    return machine.facts(shlex.join(["sgl-omni", "bench", "load", *arguments])) | {
        "server": f"{where}; {options.adapter}, model {asker.model}",
        "load": f"workload {options.workload}, {len(options.lines)} lines; {options.repeats} repeats of {length}",
    }


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    experiment = Experiment(
        lines=options.lines,
        points=[Point(rate=rate) for rate in options.rate or ()] or [Point(clients=n) for n in options.concurrency],
        requests=options.requests,
        seconds=options.duration,
        repeats=options.repeats,
        warm_up=options.warm_up,
        seed=options.seed,
        check_solo=options.check_solo,
        keep_sound=options.transcribe,
    )
    key = os.environ.get("OPENAI_API_KEY", "")
    asker = Asker(options.url, ADAPTERS[options.adapter], options.model, options.extra, options.timeout, key)
    if options.url:
        asyncio.run(measure(experiment, asker))
    else:
        from sglang_omni.models.qwen3_omni.demo import cached_demo_model

        model = ["--model-path", options.model_path or str(cached_demo_model())]
        with serve([*model, "--log-level", "error"], {"OMP_NUM_THREADS": "1"}) as server:
            asker.url = server.url
            asyncio.run(measure(experiment, asker))
    if options.recogniser:
        experiment.transcribe(options.recogniser)
    measured_with = facts(options, asker, arguments)
    page = report.page(experiment.results, experiment.failed, measured_with)
    print(page)
    if options.output:
        title = f"Load: {options.workload}, {asker.model}"
        report.write(options.output, title, page, experiment.results, measured_with)
    for sentence in experiment.failed:
        print(f"sgl-omni bench load: {sentence}", file=sys.stderr)
    return 1 if experiment.failed else 0
