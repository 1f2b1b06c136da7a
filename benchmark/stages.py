"""How long each stage's step takes by itself, without HTTP, queues and processes: plain, and as the product runs it.

It needs torch and transformers (for the model's config), but neither SGLang, FlashInfer nor a checkpoint: weights are
random, and `--size real` has the published model's dimensions.
"""

import argparse
import json
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn

from sglang_omni.benchmark import machine
from sglang_omni.benchmark.progress import shown
from sglang_omni.kernels.choice import ENVIRONMENT
from sglang_omni.models.qwen3_omni.code2wav import Code2Wav, Code2WavConfig
from sglang_omni.models.qwen3_omni.code2wav_stage import Code2WavRunner
from sglang_omni.models.qwen3_omni.talker import Talker
from sglang_omni.models.qwen3_omni.talker_stage import Speech, TalkerRunner
from sglang_omni.models.spec import StageOptions
from sglang_omni.sidecar.runner import Later, Outputs

STEPS = 20  # of which a repeat's time is the mean
PROMPT = 200
CHUNKS = 2, 16
TAP_ROWS = 2048
CPU_MODES = {"plain": "plain", "auto": "ours"}
GPU_MODES = {"eager": "eager", "plain": "graphs", "auto": "ours"}
"""What `SGLANG_OMNI_KERNELS` is measured as, and the columns' names; the last is what the product does."""


@dataclass(frozen=True)
class Time:
    """Seconds of one step; `moved` are the bytes that it reads, 0 where that says nothing."""

    name: str
    size: str
    seconds: float
    moved: int = 0

    def line(self) -> str:
        return f"{self.name}, {self.size}: {self.seconds * 1e3:.2f} ms"


def clock(call: Callable[[], object], device: torch.device, repeats: int, steps: int = STEPS) -> float:
    """Seconds of one call among several, the median of a few repeats, after a warm-up."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    call()
    times = []
    for _ in range(repeats):
        wait()
        begun = time.perf_counter()
        for _ in range(steps):
            call()
        wait()
        times.append((time.perf_counter() - begun) / steps)
    return median(times)


class OneLate:
    """Calls of a step, each of which then waits for what the one before has made, as the scheduler does."""

    def __init__(self, step: Callable[[], Outputs | Later]):
        self.step = step
        self.under_way: Later | None = None

    def __call__(self) -> None:
        before, outputs = self.under_way, self.step()
        if before is not None:
            before.wait()
        self.under_way = outputs if isinstance(outputs, Later) else None


def weights(*modules: nn.Module) -> int:
    """Their bytes."""
    return sum(weight.numel() * weight.element_size() for module in modules for weight in module.parameters())


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" + "s" * (count != 1)


def randomise(module: nn.Module) -> None:
    """Weights of about the size that trained ones have: of other sizes, experts and codes would be less varied."""
    for parameter in module.parameters():
        inputs = parameter[0].numel() if parameter.ndim > 1 else 1
        parameter.data.normal_(std=inputs**-0.5) if inputs > 1 else parameter.data.fill_(1.0)


class Bench:
    """The stages of a model with random weights on one device."""

    def __init__(self, directory: Path, device: torch.device, dtype: torch.dtype, rows: Sequence[int], repeats: int):
        self.directory, self.device, self.dtype = directory, device, dtype
        self.rows, self.repeats = rows, repeats

    def options(self, **options: Any) -> StageOptions:
        name = str(self.dtype).removeprefix("torch.")
        return StageOptions(str(self.directory), str(self.device), name, max(self.rows), options=options)

    def times(self) -> Iterator[Time]:
        yield from self.talker()
        yield from self.code2wav()

    # The talker

    def talker(self) -> Iterator[Time]:
        from sglang_omni.models.qwen3_omni.config import omni_config

        config = omni_config(self.directory)
        with torch.device(self.device):
            talker = Talker(config.talker_config).to(self.dtype)
        randomise(talker)
        moved = self._frame_bytes(talker)
        vocabulary = 1 + max(config.tts_eos_token_id, config.assistant_token_id, config.im_end_token_id)
        hidden = config.talker_config.text_config.hidden_size
        text = torch.randn(vocabulary, hidden, dtype=self.dtype, device=self.device)
        runner = TalkerRunner(self.options(), (talker, text))
        runner.requests.suppressed[runner.end_of_speech] = True  # it goes on for as long as it is measured
        prompt = self._prompt(runner)
        yield Time("talker, prompt", f"{PROMPT} rows", self._prompt_time(runner, prompt))
        for count in self.rows:
            states = [self._open(runner, slot, prompt) for slot in range(count)]
            for state in states:
                self._step(runner, [state])
            frame = self._clock(OneLate(partial(self._step, runner, states)))
            yield Time("talker, frame", plural(count, "stream"), frame, moved(count))
            kept = torch.randn(count, hidden, dtype=self.dtype, device=self.device)
            predict = partial(runner.frame.speak, states, kept)
            yield Time("of it, sampling and code predictor", plural(count, "stream"), self._clock(predict))
            for state in states:
                runner.memory.release(state)

    def _frame_bytes(self, talker: Talker) -> Callable[[int], int]:
        """Of the weights that a frame of so many streams reads, each once, but the code predictor's once a group."""
        text, groups = talker.config.text_config, talker.config.num_code_groups
        experts = sum(weights(layer.mlp.experts) for layer in talker.model.layers)
        other = weights(talker.model, talker.codec_head) - experts - weights(talker.model.codec_embedding)
        predictor = talker.code_predictor
        layers = (groups - 1) * weights(*predictor.model.layers) + weights(predictor.lm_head)

        def moved(count: int) -> int:
            chosen = 1 - (1 - text.num_experts_per_tok / text.num_experts) ** count  # as many as are expected
            return int(other + experts * chosen + layers)

        return moved

    def _prompt(self, runner: TalkerRunner) -> dict[str, Any]:
        config = runner.config
        user = [config.im_start_token_id, config.user_token_id, *[20] * (PROMPT - 13), config.im_end_token_id, 20]
        ids = torch.tensor([*user, config.im_start_token_id, config.assistant_token_id, 20])
        media = torch.empty(0, config.talker_config.thinker_hidden_size)
        return {"prompt_ids": ids, "positions": torch.arange(len(ids)).expand(3, -1), "media_rows": media}

    def _open(self, runner: TalkerRunner, slot: int, prompt: dict[str, Any]) -> Speech:
        state = runner.open(slot, {**prompt, "speech": {"seed": slot}})
        runner.feed(state, [20] * 60)
        return state

    def _step(self, runner: TalkerRunner, states: Sequence[Speech]) -> Outputs | Later:
        for state in states:
            state.reason = None
            runner.memory.give(state)
        return runner.step(states)

    def _prompt_time(self, runner: TalkerRunner, prompt: dict[str, Any]) -> float:
        def read() -> Outputs | Later:
            state = self._open(runner, 0, prompt)
            outputs = self._step(runner, [state])
            runner.memory.release(state)
            return outputs

        return self._clock(OneLate(read), 5)

    # code2wav

    def code2wav(self) -> Iterator[Time]:
        config = json.loads((self.directory / "config.json").read_text())["code2wav_config"]
        with torch.device(self.device):
            model = Code2Wav(Code2WavConfig.of(config)).to(self.dtype)
        moved = weights(model.pre_transformer, model.upsample, model.decoder)
        runner = Code2WavRunner(self.options(), model)
        codes = torch.randint(0, model.config.codebook_size, (64, model.config.num_quantizers))
        for count in self.rows:
            for frames in CHUNKS:
                states = [runner.open(slot, {"chunk_frames": [frames]}) for slot in range(count)]

                def step(states: list = states, frames: int = frames) -> Outputs | Later:
                    for state in states:
                        state.waiting += codes[:frames]
                    return runner.step(states)

                size = f"{plural(count, 'stream')}, {plural(frames, 'frame')}"
                yield Time("code2wav, chunk", size, self._clock(OneLate(step), 5), moved)

    def _clock(self, call: Callable[[], object], steps: int = STEPS) -> float:
        return clock(call, self.device, self.repeats, steps)


def tap_times(hidden: int, dtype: torch.dtype, device: torch.device, repeats: int) -> Iterator[Time]:
    """What the thinker does for the talker in a prompt's forward pass: one row kept per token."""
    from sglang_omni.thinker.tap import Tap

    tap = Tap(4 * TAP_ROWS, hidden, dtype, device)
    slots = torch.randperm(4 * TAP_ROWS, device=device)[:TAP_ROWS]
    rows = torch.randn(TAP_ROWS, hidden, dtype=dtype, device=device)
    moved = 2 * rows.numel() * rows.element_size()
    yield Time("thinker, tap", f"{TAP_ROWS} tokens", clock(partial(tap.write, slots, rows), device, repeats), moved)


def encoder_times(repeats: int) -> Iterator[Time]:
    """Of a second of sound, as a stream in chunks of 0.16 s."""
    try:
        from sglang_omni.audio.encode import FORMATS, Encoder
    except ImportError:
        print("formats of sound are left out: PyAV is not installed", file=sys.stderr)
        return
    sound = (torch.randn(24_000) * 3000).to(torch.int16).numpy().tobytes()
    for name in ("wav", "mp3", "opus", "aac", "flac"):
        if FORMATS[name].available:
            encoder = Encoder(name, sample_rate=24_000)

            def encode(encoder: Encoder = encoder) -> None:
                for begin in range(0, len(sound), 7680):
                    encoder.encode(sound[begin : begin + 7680])

            yield Time(f"{name} encoder", "1 s of sound", clock(encode, torch.device("cpu"), repeats, 5))


@contextmanager
def kernels(mode: str) -> Iterator[None]:
    before = os.environ.get(ENVIRONMENT)
    os.environ[ENVIRONMENT] = mode
    try:
        yield
    finally:
        os.environ.pop(ENVIRONMENT)
        if before is not None:
            os.environ[ENVIRONMENT] = before


def read_bandwidth(device: torch.device) -> float:
    """Bytes a second that a sum reads from memory."""
    numbers = torch.randn(2**29 if device.type == "cuda" else 2**26, device=device)
    return numbers.numel() * numbers.element_size() / clock(numbers.sum, device, 5, 5)


def page(options: argparse.Namespace, command: str) -> str:
    from sglang_omni.models.qwen3_omni.demo.config import demo_config

    device, dtype = torch.device(options.device), getattr(torch, options.dtype)
    bandwidth = read_bandwidth(device)
    config = demo_config(options.size)
    modes: Mapping[str, str] = GPU_MODES if device.type == "cuda" else CPU_MODES
    measured = []
    with tempfile.TemporaryDirectory() as directory, torch.inference_mode():
        config.save_pretrained(directory)
        for mode, column in modes.items():
            with kernels(mode):
                torch.manual_seed(0)
                bench = Bench(Path(directory), device, dtype, options.rows, options.repeats)
                measured.append(list(shown(bench.times(), column, Time.line)))
        hidden = config.thinker_config.text_config.hidden_size
        other = chain(tap_times(hidden, dtype, device, options.repeats), encoder_times(options.repeats))
        once = list(shown(other, "once", Time.line))
    head = ["", "", *(f"{column}, ms" for column in modes.values()), "speedup", "memory, ms", "share"]
    table = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    table += [_line(times, len(modes), bandwidth) for times in zip(*measured, strict=True)]
    table += [_line([time], len(modes), bandwidth) for time in once]
    facts = {
        **machine.facts(command),
        "weights": f"random, size `{options.size}`, {options.dtype}, on {device}, {options.threads} CPU threads",
        "bandwidth": f"{bandwidth / 1e9:,.0f} GB/s, of a sum",
    }
    return "\n".join([machine.table(facts), "", *table])


def _line(times: Sequence[Time], columns: int, bandwidth: float) -> str:
    """Of the same step in each mode, or in the last alone."""
    ours, memory = times[-1], times[-1].moved / bandwidth
    cells = [ours.name, ours.size, *[""] * (columns - len(times)), *(f"{time.seconds * 1e3:.2f}" for time in times)]
    cells += [f"{times[0].seconds / ours.seconds:.1f}" if len(times) > 1 else ""]
    cells += [f"{memory * 1e3:.2f}", f"{memory / ours.seconds:.0%}"] if ours.moved else ["", ""]
    return f"| {' | '.join(cells)} |"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="sgl-omni bench stages", description=__doc__)
    cuda = torch.cuda.is_available()
    parser.add_argument("--size", default="real" if cuda else "demo", help="tiny, demo, middle or real (%(default)s)")
    parser.add_argument("--device", default="cuda" if cuda else "cpu", help="(default: %(default)s)")
    parser.add_argument("--dtype", default="bfloat16" if cuda else "float32", help="(default: %(default)s)")
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 8, 32], help="streams in a step (default: 1 8 32)")
    parser.add_argument("--repeats", type=int, default=5, help="median of so many (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of a CPU (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="also write the page to this file")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    told = page(options, shlex.join(["sgl-omni", "bench", "stages", *arguments]))
    print(told)
    if options.output:
        options.output.write_text(f"# Stages\n\n{told}\n")
    return 0
