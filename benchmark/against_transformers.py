"""Spoken answers from the server and from transformers' `generate`: the same checkpoint, questions and machine."""

import argparse
import base64
import io
import os
import re
import time
import warnings
import wave
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

from sglang_omni.benchmark.processes import cpu_seconds
from sglang_omni.benchmark.server import serve

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


@dataclass(frozen=True)
class Figure:
    """The wall time of a batch of answers, the median of its repeats."""

    seconds: float
    answers: list[Answer]

    def __str__(self) -> str:
        audio = sum(answer.audio_seconds for answer in self.answers)
        return f"{self.seconds:7.2f} s for {audio:6.2f} s of audio"


def measure(name: str, repeats: int, run: Callable[[], list[Answer]]) -> Figure:
    times = []
    for repeat in range(repeats):
        start = time.perf_counter()
        answers = run()
        times.append(time.perf_counter() - start)
        print(f"  {name}, {repeat + 1} of {repeats}: {times[-1]:.2f} s", flush=True)
    return Figure(median(times), answers)


class Transformers:
    """The reference, on the GPU if there is one."""

    def __init__(self, model_path: str, tokens: int):
        from transformers import AutoProcessor, Qwen3OmniMoeForConditionalGeneration
        from transformers.utils import logging

        warnings.filterwarnings("ignore", module="transformers")
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self.processor = AutoProcessor.from_pretrained(model_path)
        self.model = Qwen3OmniMoeForConditionalGeneration.from_pretrained(model_path, dtype="auto").to(device)
        self.tokens = tokens

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
            return_audio=True,
        )
        text = self.processor.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        return Answer(text, waveform.numel() / 24_000)


class Server:
    """Our server, through the official client."""

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
            return Answer(message.content or "", sound.getnframes() / sound.getframerate())


def measure_transformers(model_path: str, options: argparse.Namespace) -> tuple[Figure, Figure]:
    reference = Transformers(model_path, options.text_tokens)
    questions = QUESTIONS[: options.concurrency]
    reference.answer(questions[0])  # warm up
    print(f"  transformers is fastest with {reference.choose_threads()} threads", flush=True)
    alone = measure("transformers, alone", options.repeats, lambda: [reference.answer(questions[0])])
    row = measure("transformers, one after another", options.repeats, lambda: [*map(reference.answer, questions)])
    return alone, row


def measure_server(
    url: str, options: argparse.Namespace, log: Callable[[], str] = lambda: ""
) -> tuple[Figure, Figure, str]:
    """The last is what the server logged while it answered alone."""
    server = Server(url, options.text_tokens)
    questions = QUESTIONS[: options.concurrency]
    with ThreadPoolExecutor(options.concurrency) as clients:
        list(clients.map(server.answer, questions))  # warm up
        before = len(log())
        alone = measure("sglang-omni, alone", options.repeats, lambda: [server.answer(questions[0])])
        logged = log()[before:]
        together = measure("sglang-omni, at once", options.repeats, lambda: [*clients.map(server.answer, questions)])
    return alone, together, logged


def stages_at_work(log: str) -> str:
    """By the server's log of answers alone: how much of their time a stage computes. The thinker is not in it."""
    alone = [dict(re.findall(r"(\w+)=(\S+)", line)) for line in log.splitlines() if "] ended request=" in line]

    def mean(field: str) -> float:
        return sum(float(answer[field]) for answer in alone) / len(alone)

    total, work = mean("total_s"), {name: mean(f"{name}_worked_s") for name in ("talker", "code2wav")}
    told = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in work.items())
    return f"of an answer alone, {total:.2f} s   {told}: the busier one {max(work.values()) / total:.0%}"


COUNTED = 20
"""Answers alone whose CPU time is taken: the clock of a process has ticks of 10 ms."""


def cpu_times(url: str, pid: int, tokens: int) -> str:
    """CPU time that each process takes for an answer alone."""
    server, before = Server(url, tokens), cpu_seconds(pid)
    for _ in range(COUNTED):
        server.answer(QUESTIONS[0])
    taken = {name: seconds / COUNTED for name, seconds in (cpu_seconds(pid) - before).items()}
    told = ", ".join(f"{name} {1000 * seconds:.0f} ms" for name, seconds in sorted(taken.items()))
    return f"CPU time of an answer alone, {1000 * sum(taken.values()):.0f} ms   {told}"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="sgl-omni bench against-transformers", description=__doc__)
    parser.add_argument("--url", help="a running server (default: start one, after transformers is done)")
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
    options = parser.parse_args(arguments)

    from sglang_omni.models.qwen3_omni.demo import cached_demo_model

    model_path = options.model_path or str(cached_demo_model(options.size))
    print(f"{options.text_tokens} text tokens an answer, greedy, {Path(model_path).name}", flush=True)
    reference_alone, reference_row = measure_transformers(model_path, options)
    at_work = ""
    if options.url:
        alone, together, _ = measure_server(options.url, options)
    else:
        print("  starting the server", flush=True)
        with serve(["--model-path", model_path, "--log-level", "info"]) as server:
            alone, together, log = measure_server(server.url, options, server.output)
            at_work = stages_at_work(log) + "\n" + cpu_times(server.url, server.process.pid, options.text_tokens)

    n = options.concurrency
    pairs = zip(together.answers, reference_row.answers, strict=True)
    print(f"transformers, alone             {reference_alone}")
    print(f"transformers, {n} one by one      {reference_row}")
    print(f"sglang-omni, alone              {alone}")
    print(f"sglang-omni, {n} at once          {together}")
    if at_work:
        print(at_work)
    print(f"same text as transformers: {sum(ours.text == theirs.text for ours, theirs in pairs)} of {n}")
    print(
        f"speedup: alone {reference_alone.seconds / alone.seconds:.1f}x, "
        f"concurrent {reference_row.seconds / together.seconds:.1f}x"
    )
    return 0
