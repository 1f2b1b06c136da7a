"""SGLang on any CPU, through its platform entry point.

SGLang's own CPU engine (`SGLANG_USE_CPU_ENGINE=1`) needs kernels for Intel AMX that its wheel does not hold.
As an out-of-tree platform the CPU gets SGLang's plain torch paths instead: slower, the same on every machine.
"""

import os
from typing import Any

import torch
from sglang.srt.platforms.cpu import CpuDeviceMixin
from sglang.srt.platforms.device_mixin import PlatformEnum
from sglang.srt.platforms.interface import SRTPlatform
from torch.nn import functional
from transformers import PreTrainedConfig

from sglang_omni.layers.company import alike

SIDECARS = 2
"""Cores left to the talker and code2wav: threads that wait for each other on busy cores halve a stage's speed."""


def activate() -> str | None:
    """The platform's qualified name where the CPU is all there is; None wherever SGLang has a device of its own."""
    if os.environ.get("SGLANG_USE_CPU_ENGINE") == "1" or torch.accelerator.is_available():
        return None
    return f"{__name__}.{PlainCpu.__name__}"


class PlainCpu(CpuDeviceMixin, SRTPlatform):
    _enum = PlatformEnum.OOT

    def init_backend(self) -> None:
        # What SGLang compiles on a GPU would be compiled here too, on the first request that meets it (the vision
        # tower's rope: tens of seconds for the first picture), and only where there is a C++ compiler.
        torch.compiler.set_stance("force_eager")
        # SGLang's layers call them by these names, on the tokens of all requests in a batch.
        functional.linear, torch.matmul = alike(functional.linear), alike(torch.matmul)
        if "OMP_NUM_THREADS" not in os.environ:
            torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) - SIDECARS))

    def apply_server_args_defaults(self, server_args: Any) -> None:
        """What nobody asked for otherwise, on a machine that has other work too.

        SGLang would take most of the memory for KV, halve a float32 checkpoint, which a CPU does not gain from,
        and keep one core busy while it waits for requests.
        """
        server_args.sleep_on_idle = True
        if server_args.max_total_tokens is None:
            server_args.max_total_tokens = 65_536
        if server_args.max_running_requests is None:
            server_args.max_running_requests = 64
        if server_args.dtype == "auto":
            config, _ = PreTrainedConfig.get_config_dict(server_args.model_path)
            if config.get("dtype", config.get("torch_dtype")) == "float32":
                server_args.dtype = "float32"

    def get_device(self, device_id: int = 0) -> str:
        return "cpu"  # a name: `--device` and the memory budget split it

    def get_default_attention_backend(self) -> str:
        return "torch_native"

    def is_pin_memory_available(self, device: torch.device | str | None = None) -> bool:
        return False
