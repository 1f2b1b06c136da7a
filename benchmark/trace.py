"""When a talker made its frames, and how long code2wav takes for chunks: for simulations of the chunk policy."""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

WORDS = 40
ROWS = 1, 2, 4, 8
REPEATS = 5


def frame_times(model_path: Path, streams: int, apart: float) -> list[dict[str, Any]]:
    """Of `streams` requests that came `apart` seconds from each other: `asked`, and when each frame was made."""
    import torch

    from sglang_omni.models.qwen3_omni.talker_stage import TalkerRunner
    from sglang_omni.models.spec import StageOptions
    from sglang_omni.sidecar.messages import Chunk, Finish, Message, Start
    from sglang_omni.sidecar.scheduler import Scheduler

    runner = TalkerRunner(StageOptions(str(model_path)))
    config = runner.config
    turn = [config.im_start_token_id, config.user_token_id, 20, 21, 22, config.im_end_token_id, 20]
    prompt = torch.tensor(turn * 6 + [config.im_start_token_id, config.assistant_token_id, 20])
    params = {
        "prompt_ids": prompt,
        "positions": torch.arange(len(prompt)).expand(3, -1),
        "media_rows": torch.empty(0, config.talker_config.thinker_hidden_size),
    }
    made: dict[str, list[float]] = {}

    def hear(sent: list[Message]) -> None:
        for message in sent:
            if isinstance(message, Chunk):
                made.setdefault(message.request_id, []).append(time.monotonic())

    scheduler = Scheduler("talker", runner, hear, hear)

    def ask(name: str) -> None:
        scheduler.receive(Start(name, {**params, "speech": {"seed": len(made)}}))
        scheduler.receive(Chunk(name, [20 + 3 * word for word in range(WORDS)]))
        scheduler.receive(Finish(name, "stop"))

    ask("warm-up")
    while scheduler.step():
        pass
    made.clear()
    begun, asked = time.monotonic(), 0
    while asked < streams or scheduler.requests:
        if asked < streams and time.monotonic() - begun >= asked * apart:
            ask(str(asked))
            asked += 1
        scheduler.step()
    return [
        {"asked": round(apart * number, 3), "frames": [round(at - begun, 4) for at in made[str(number)]]}
        for number in range(streams)
    ]


def chunk_seconds(model_path: Path) -> dict[str, dict[str, float]]:
    """By frames of a chunk and by rows of a step, the median of a few."""
    import torch

    from sglang_omni.models.qwen3_omni.code2wav_stage import CHUNK_FRAMES, Code2WavRunner
    from sglang_omni.models.spec import StageOptions

    runner = Code2WavRunner(StageOptions(str(model_path)))
    groups = runner.config.num_quantizers
    result: dict[str, dict[str, float]] = {}
    for length in sorted(set(CHUNK_FRAMES)):
        for rows in ROWS:
            states = [runner.open(slot, {"chunk_frames": [length]}) for slot in range(rows)]
            times = []
            for _ in range(REPEATS + 1):
                for state in states:
                    state.waiting += [torch.zeros(groups, dtype=torch.int64)] * length
                begun = time.perf_counter()
                runner.step(states)
                times.append(time.perf_counter() - begun)
            result.setdefault(str(length), {})[str(rows)] = round(median(times[1:]), 5)
    return result


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="sgl-omni bench trace", description=__doc__)
    parser.add_argument("--model-path", type=Path, help="a checkpoint (default: the built-in demo model)")
    parser.add_argument("--streams", type=int, default=8, help="(default: 8)")
    parser.add_argument("--apart", type=float, default=0.15, help="seconds between requests (default: 0.15)")
    parser.add_argument("--output", type=Path, help="where the JSON goes (default: standard output)")
    options = parser.parse_args(arguments)

    import torch

    from sglang_omni.models.qwen3_omni.demo import cached_demo_model

    torch.set_num_threads(1)
    path = options.model_path or cached_demo_model()
    trace = {
        "cores": os.cpu_count(),
        "command": f"scripts/bench trace --streams {options.streams} --apart {options.apart}",
        "talker": frame_times(path, options.streams, options.apart),
        "code2wav": chunk_seconds(path),
    }
    written = json.dumps(trace) + "\n"
    if options.output:
        options.output.write_text(written)
    else:
        sys.stdout.write(written)
    return 0
