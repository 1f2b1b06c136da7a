"""The sidecar processes with the real stages: what a thinker would send goes in, PCM comes out."""

import asyncio
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from sglang_omni.models import spec_of
from sglang_omni.models.spec import StageOptions
from sglang_omni.pipeline import Pipeline
from sglang_omni.sidecar.group import Sidecars
from sglang_omni.sidecar.messages import Chunk, Finish, Start
from sglang_omni.sidecar.process import SidecarConfig
from tests.reference import Answer, reference_generate

GREEDY = {"voice": "chelsie", "temperature": 0.0}
END_OF_TURN = 993
QUESTIONS = ["Hello!", "What is the weather like today?", "Count to ten, please, and then tell me a story."]


@pytest.fixture(scope="module")
def sidecars(demo_model: Path, sockets: str):
    spec = spec_of(demo_model)
    options = {stage.name: StageOptions(str(demo_model), slots=4) for stage in spec.stages}
    with Sidecars.start(spec, options, sockets) as group:
        yield sockets, group
    assert set(group.dead()) == {"talker", "code2wav"}


def params(answer: Answer) -> dict:
    positions = torch.arange(len(answer.prompt_ids)).expand(3, -1)
    rows = torch.empty(0, answer.hidden.shape[1])
    return {"prompt_ids": answer.prompt_ids, "positions": positions, "media_rows": rows, "speech": GREEDY}


def spoken(answer: Answer) -> list[int]:
    """An answer cut by its length is spoken to its last token here, and to the one before it by transformers."""
    ids = answer.text_ids.tolist()
    return ids if ids[-1] == END_OF_TURN else ids[:-1]


async def speak(pipeline: Pipeline, name: str, answer: Answer) -> np.ndarray:
    """The thinker's tokens one by one, as its scheduler would send them."""
    with pipeline.listen(name) as speech:
        talker = pipeline._outboxes["talker"]
        talker.send([Start(name, params(answer))])
        for token in spoken(answer):
            talker.send([Chunk(name, [token])])
            await asyncio.sleep(0.005)
        talker.send([Finish(name, "stop")])
        pcm = b"".join([chunk async for chunk in speech])
        assert speech.finish_reason == "stop"
        assert speech.usage["talker"] == len(answer.codes)
        return np.frombuffer(pcm, "<i2")


def test_sound_is_the_references_and_the_stages_start_and_end_quickly(demo_model: Path, sidecars):
    answers = [reference_generate(demo_model, question, voice="chelsie", max_tokens=24) for question in QUESTIONS]

    async def scenario() -> list[np.ndarray]:
        pipeline = Pipeline(*sidecars)
        pipeline.start()
        while not pipeline.healthy:
            assert not sidecars[1].dead()
            await asyncio.sleep(0.05)
        together = await asyncio.gather(*(speak(pipeline, str(i), answer) for i, answer in enumerate(answers)))
        async with asyncio.timeout(5):  # slots are free again, says the next heartbeat
            while any(state["free"] < state["slots"] for state in pipeline.states.values()):
                await asyncio.sleep(0.05)
        await pipeline.stop()
        return together

    for answer, heard in zip(answers, asyncio.run(scenario()), strict=True):
        assert len(heard) == len(answer.waveform) > 24_000
        np.testing.assert_allclose(heard / 32767, answer.waveform.numpy(), atol=3 / 32767)


def test_a_sidecar_is_ready_within_eight_seconds(demo_model: Path, tmp_path: Path):
    directory = str(tmp_path)
    spec = spec_of(demo_model)
    options = {stage.name: StageOptions(str(demo_model)) for stage in spec.stages}

    async def wait(group: Sidecars) -> None:
        pipeline = Pipeline(directory, group)
        pipeline.start()
        while not pipeline.healthy:
            assert not group.dead()
            await asyncio.sleep(0.02)
        await pipeline.stop()

    started = time.monotonic()
    with Sidecars.start(spec, options, directory) as group:
        asyncio.run(wait(group))
        ready = time.monotonic() - started
    assert ready < 8


def test_stages_do_not_import_sglangs_runtime():
    program = (
        "import sys, sglang_omni.sidecar.process, sglang_omni.models.qwen3_omni.talker_stage, "
        "sglang_omni.models.qwen3_omni.code2wav_stage; "
        "print([name for name in sys.modules if name.partition('.')[0] in ('sglang', 'fastapi')])"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "[]\n"


def test_a_sidecar_ends_with_the_process_that_started_it(demo_model: Path, tmp_path: Path):
    program = (
        "import sys; from sglang_omni.models import spec_of; from sglang_omni.models.spec import StageOptions; "
        "from sglang_omni.sidecar.group import Sidecars; "
        "path = sys.argv[1]; spec = spec_of(path); "
        "group = Sidecars.start(spec, {stage.name: StageOptions(path) for stage in spec.stages}, sys.argv[3]); "
        "open(sys.argv[2], 'w').write(' '.join(str(process.pid) for process in group.processes.values()))"
    )
    subprocess.run([sys.executable, "-c", program, demo_model, tmp_path / "pids", tmp_path], check=True)
    waiting = [Path(f"/proc/{pid}") for pid in (tmp_path / "pids").read_text().split()]
    assert len(waiting) == 2
    deadline = time.monotonic() + 15  # it looks for its parent once it has loaded
    while any(path.exists() for path in waiting):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_device_that_is_none_is_said_in_a_sentence(demo_model: Path, sockets: str):
    options = StageOptions(str(demo_model), device="banana")
    config = SidecarConfig(spec_of(demo_model).architecture, "talker", sockets, os.getpid(), options)
    command = [sys.executable, "-m", "sglang_omni.sidecar.process", config.to_json()]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 1
    assert re.fullmatch("sgl-omni: talker: device banana cannot be used: Expected one of cpu, cuda.*\n", ended.stderr)
