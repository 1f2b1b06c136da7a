"""SGLang finds our platform on a machine with a CPU only, and nowhere else."""

import pytest
import torch
from sglang.srt.server_args import ServerArgs

from sglang_omni.platforms import cpu


@pytest.fixture
def only_a_cpu(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    monkeypatch.delenv("SGLANG_USE_CPU_ENGINE", raising=False)


def test_on_a_cpu(only_a_cpu):
    assert cpu.activate() == "sglang_omni.platforms.cpu.PlainCpu"


def test_steps_aside_for_an_accelerator(only_a_cpu, monkeypatch):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    assert cpu.activate() is None


def test_steps_aside_for_sglangs_own_cpu_engine(only_a_cpu, monkeypatch):
    monkeypatch.setenv("SGLANG_USE_CPU_ENGINE", "1")
    assert cpu.activate() is None


def test_defaults_give_way_to_what_was_asked_for(tiny_model):
    platform = cpu.PlainCpu()
    defaults, asked = (
        ServerArgs(str(tiny_model), **given)
        for given in ({}, {"max_total_tokens": 100, "max_running_requests": 2, "dtype": "bfloat16"})
    )
    for args in (defaults, asked):
        platform.apply_server_args_defaults(args)
    assert defaults.dtype == "float32"  # as the checkpoint says; SGLang would choose float16
    assert defaults.max_total_tokens
    assert (asked.max_total_tokens, asked.max_running_requests, asked.dtype) == (100, 2, "bfloat16")
