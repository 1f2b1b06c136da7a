"""Spoken answers from the server and from transformers' `generate`: the same checkpoint, questions and machine."""

import argparse
import base64
import gc
import io
import os
import re
import shlex
import time
import warnings
import wave
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

import torch

from sglang_omni.benchmark import machine
from sglang_omni.benchmark.processes import cpu_seconds
from sglang_omni.benchmark.server import address, serve

QUESTIONS = (
    "What can you see from the window of the train?",
    "Tell me a story about the sea, please.",
    "How do I bake bread?",
    "Which season do you like best, and why?",
    "Describe a white house beside a river.",
    "Who lives in the lighthouse?",
    "Explain how a machine learns to speak.",
    "What shall we do tomorrow?",
)


@dataclass(frozen=True)
class Answer:
    text: str
    audio_seconds: float
    id: str = ""  # by which the server logged it


@dataclass(frozen=True)
class Figure:
    """The wall time of a batch of answers, the median of its repeats; `answers` are the last one's, `ids` all."""

    seconds: float
    answers: list[Answer]
    ids: frozenset[str]

    def __str__(self) -> str:
        audio = sum(answer.audio_seconds for answer in self.answers)
        return f"{self.seconds:7.2f} s for {audio:6.2f} s of audio"


Batches: TypeAlias = Mapping[str, Callable[[], list[Answer]]]
"""What is timed, by name."""

SETTLE_SECONDS = 0.5
"""Before each batch: threads that wait for more work do so busily for a moment."""


def measure(batches: Batches, repeats: int) -> dict[str, Figure]:
    """In turns, so that a machine that gets slower does so for all."""
    times: dict[str, list[float]] = {name: [] for name in batches}
    answers: dict[str, list[list[Answer]]] = {name: [] for name in batches}
    for repeat in range(repeats):
        for name, run in batches.items():
            time.sleep(SETTLE_SECONDS)
            start = time.perf_counter()
            answers[name].append(run())
            times[name].append(time.perf_counter() - start)
            print(f"  {name}, {repeat + 1} of {repeats}: {times[name][-1]:.2f} s", flush=True)
    ids = {name: frozenset(answer.id for batch in answers[name] for answer in batch) for name in batches}
    return {name: Figure(median(times[name]), answers[name][-1], ids[name]) for name in batches}


class Transformers:
    """The reference, on the GPU if there is one."""

    def __init__(self, model_path: str, tokens: int):
        from transformers import AutoProcessor, Qwen3OmniMoeForConditionalGeneration
        from transformers.utils import logging

        warnings.filterwarnings("ignore", module="transformers")
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.processor = AutoProcessor.from_pretrained(model_path)
        self.model = Qwen3OmniMoeForConditionalGeneration.from_pretrained(model_path, dtype="auto").to(self.device)
        self.parameters = sum(parameter.numel() for parameter in self.model.parameters())
        self.dtype = str(self.model.dtype).removeprefix("torch.")
        self.tokens = tokens
        self.penalty = getattr(self.model.generation_config, "talker_repetition_penalty", 1.05)

    def choose_threads(self) -> int:
        """As many threads as answer fastest: for a small model on busy cores, one may."""

        def seconds(threads: int) -> float:
            torch.set_num_threads(threads)
            start = time.perf_counter()
            self.answer(QUESTIONS[0])
            return time.perf_counter() - start

        fastest = min((1, os.cpu_count() or 1), key=seconds)
        torch.set_num_threads(fastest)
        return fastest

    def answer(self, question: str) -> Answer:
        messages = [{"role": "user", "content": question}]
        prompt = self.processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        inputs = self.processor(text=prompt, return_tensors="pt").to(self.model.device)
        ids, waveform = self.model.generate(
            **inputs,
            thinker_do_sample=False,
            thinker_eos_token_id=self.model.config.im_end_token_id,
            thinker_min_new_tokens=self.tokens,
            thinker_max_new_tokens=self.tokens,
            talker_do_sample=False,
            talker_repetition_penalty=self.penalty,
            return_audio=True,
        )
        text = self.processor.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        return Answer(text, waveform.numel() / 24_000)


class Client:
    """Of our server: the official one."""

    def __init__(self, url: str, tokens: int):
        from openai import OpenAI

        self.client = OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=600)
        self.model = self.client.models.list().data[0].id
        self.tokens = tokens

    def answer(self, question: str) -> Answer:
        extra: dict[str, Any] = {"min_tokens": self.tokens, "talker_temperature": 0}
        response = self.client.chat.completions.create(
            model=self.model,
            messages=[{"role": "user", "content": question}],
            modalities=["text", "audio"],
            audio={"voice": "ethan", "format": "wav"},
            temperature=0,
            max_tokens=self.tokens,
            extra_body=extra,
        )
        message = response.choices[0].message
        assert message.audio is not None
        with wave.open(io.BytesIO(base64.b64decode(message.audio.data))) as sound:
            return Answer(message.content or "", sound.getnframes() / sound.getframerate(), response.id)


ALONE, ONE_BY_ONE = "transformers, alone", "transformers, {} one by one"
OURS_ALONE, AT_ONCE = "sglang-omni, alone", "sglang-omni, {} at once"


def transformers_batches(reference: Transformers, questions: Sequence[str]) -> Batches:
    """After a warm-up, with the threads that serve it best."""
    reference.answer(questions[0])
    print(f"  transformers is fastest with {reference.choose_threads()} threads", flush=True)
    return {
        ALONE: lambda: [reference.answer(questions[0])],
        ONE_BY_ONE.format(len(questions)): lambda: [*map(reference.answer, questions)],
    }


def server_batches(server: Client, questions: Sequence[str], clients: ThreadPoolExecutor) -> Batches:
    """After a warm-up."""
    list(clients.map(server.answer, questions))
    return {
        OURS_ALONE: lambda: [server.answer(questions[0])],
        AT_ONCE.format(len(questions)): lambda: [*clients.map(server.answer, questions)],
    }


def table(figures: Mapping[str, Figure], n: int) -> list[str]:
    """The figures, in the order in which they are to be compared."""
    names = ALONE, ONE_BY_ONE.format(n), OURS_ALONE, AT_ONCE.format(n)
    alone, one_by_one, ours_alone, at_once = (figures[name] for name in names)
    pairs = zip(at_once.answers, one_by_one.answers, strict=True)
    return [
        *(f"{name:<31} {figures[name]}" for name in names),
        f"same text as transformers: {sum(ours.text == theirs.text for ours, theirs in pairs)} of {n}",
        f"speedup: alone {alone.seconds / ours_alone.seconds:.1f}x, "
        f"concurrent {one_by_one.seconds / at_once.seconds:.1f}x",
    ]


def stages_at_work(log: str, ids: Collection[str]) -> str:
    """By the server's log of these answers: how much of their time a stage computes. The thinker is not in it."""
    ended = [dict(re.findall(r"(\w+)=(\S+)", line)) for line in log.splitlines() if "] ended request=" in line]
    answers = [answer for answer in ended if answer["request"] in ids]
    if not answers:
        return "of an answer alone: the server has logged none"

    def mean(field: str) -> float:
        return sum(float(answer[field]) for answer in answers) / len(answers)

    total, work = mean("total_s"), {name: mean(f"{name}_worked_s") for name in ("talker", "code2wav")}
    told = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in work.items())
    return f"of an answer alone, {total:.2f} s   {told}: the busier one {max(work.values()) / total:.0%}"


COUNTED = 20
"""Answers alone whose CPU time is taken: the clock of a process has ticks of 10 ms."""


def cpu_times(url: str, pid: int, tokens: int) -> str:
    """CPU time that each process takes for an answer alone."""
    server, before = Client(url, tokens), cpu_seconds(pid)
    for _ in range(COUNTED):
        server.answer(QUESTIONS[0])
    taken = {name: seconds / COUNTED for name, seconds in (cpu_seconds(pid) - before).items()}
    told = ", ".join(f"{name} {1000 * seconds:.0f} ms" for name, seconds in sorted(taken.items()))
    return f"CPU time of an answer alone, {1000 * sum(taken.values()):.0f} ms   {told}"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="sgl-omni bench against-transformers", description=__doc__)
    parser.add_argument("--url", type=address, help="a running server (default: start one)")
    parser.add_argument("--model-path", help="the checkpoint of both (default: a demo model)")
    parser.add_argument("--size", default="demo", help="of the demo model (default: %(default)s)")
    parser.add_argument("--text-tokens", type=int, default=32, help="of each answer (default: %(default)s)")
    parser.add_argument(
        "--concurrency",
        type=int,
        default=len(QUESTIONS),
        choices=range(1, len(QUESTIONS) + 1),
        metavar="N",
        help="questions at once (default: %(default)s)",
    )
    parser.add_argument("--repeats", type=int, default=3, help="median of so many (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="also add the page to this file")
    options = parser.parse_args(arguments)

    from sglang_omni.models.qwen3_omni.demo import cached_demo_model

    model_path = options.model_path or str(cached_demo_model(options.size))
    name = Path(model_path).name
    print(f"{options.text_tokens} text tokens an answer, greedy, {name}", flush=True)
    questions = QUESTIONS[: options.concurrency]
    reference = Transformers(model_path, options.text_tokens)
    facts = {
        **machine.facts(shlex.join(["sgl-omni", "bench", "against-transformers", *arguments])),
        "model": f"{name}, {reference.parameters / 1e6:.1f} million parameters, {reference.dtype}",
        "answers": f"{options.text_tokens} text tokens, greedy; the median of {options.repeats} repeats",
    }
    batches = transformers_batches(reference, questions)
    figures = {}
    if reference.device == "cuda" and not options.url:  # which may not hold both
        figures, batches = measure(batches, options.repeats), {}
        del reference
        gc.collect()
        torch.cuda.empty_cache()
    with ExitStack() as started:
        server = None
        if not options.url:
            print("  starting the server", flush=True)
            server = started.enter_context(serve(["--model-path", model_path, "--log-level", "info"]))
        url = server.url if server else options.url
        clients = started.enter_context(ThreadPoolExecutor(options.concurrency))
        batches = {**batches, **server_batches(Client(url, options.text_tokens), questions, clients)}
        figures |= measure(batches, options.repeats)
        *told, speedup = table(figures, options.concurrency)
        print("\n".join(told), flush=True)
        if server:
            at_work = stages_at_work(server.output(), figures[OURS_ALONE].ids)
            details = [at_work, cpu_times(url, server.process.pid, options.text_tokens)]
            print("\n".join(details))
            told += details
    print(speedup)
    told.append(speedup)
    if options.output:
        add(options.output, name, facts, told)
    return 0


def add(file: Path, name: str, facts: Mapping[str, str], told: Sequence[str]) -> None:
    """A section of a page that may hold other models' already."""
    before = file.read_text() if file.exists() else "# Spoken answers against transformers\n"
    block = "\n".join(["```", *told, "```"])
    file.write_text(f"{before}\n## {name}\n\n{machine.table(facts)}\n\n{block}\n")
