"""The thinker takes memory when the stages have theirs."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sglang_omni.errors import ConfigError
from sglang_omni.models import families
from sglang_omni.models.spec import Stage, StageOptions
from sglang_omni.sidecar import process, ready
from sglang_omni.sidecar.process import SidecarConfig
from sglang_omni.sidecar.runner import Runner


def test_it_waits_for_every_stage(tmp_path: Path) -> None:
    ready.mark(tmp_path, "talker")
    later = threading.Timer(0.3, ready.mark, [tmp_path, "code2wav"])
    later.start()
    begun = time.monotonic()
    assert ready.wait(tmp_path, ["talker", "code2wav"], patience=30)
    assert 0.2 < time.monotonic() - begun < 10
    assert ready.wait(tmp_path, ["talker", "code2wav"], patience=0)


def test_it_does_not_wait_for_ever(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ready.mark(tmp_path, "talker")
    assert not ready.wait(tmp_path, ["talker", "code2wav"], patience=0.1)
    assert caplog.messages == ["code2wav not ready after 0.1 s: memory may not suffice"]


def test_a_device_without_room_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(options: StageOptions) -> Runner:
        raise torch.OutOfMemoryError("CUDA out of memory. GPU 0 has 1 GiB free. If reserved but unallocated memory is")

    spec = replace(families()["Qwen3OmniMoeForConditionalGeneration"], stages=(Stage("talker", build),))
    monkeypatch.setattr(process, "families", lambda: {"any": spec})
    config = SidecarConfig("any", "talker", str(tmp_path), 0, StageOptions("model"))
    told = r"^cpu has too little memory: CUDA out of memory\. GPU 0 has 1 GiB free; docs"
    with pytest.raises(ConfigError, match=told):
        process.serve(config)
    assert not ready.wait(tmp_path, ["talker"], patience=0)
