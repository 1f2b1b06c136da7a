"""SGLang on any CPU, through its platform entry point.

SGLang's own CPU engine (`SGLANG_USE_CPU_ENGINE=1`) needs kernels for Intel AMX that its wheel does not hold.
As an out-of-tree platform the CPU gets SGLang's plain torch paths instead: slower, the same on every machine.
"""

import os

import torch
from sglang.srt.platforms.cpu import CpuDeviceMixin
from sglang.srt.platforms.device_mixin import PlatformEnum
from sglang.srt.platforms.interface import SRTPlatform


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

    def get_device(self, device_id: int = 0) -> str:
        return "cpu"  # a name: `--device` and the memory budget split it

    def get_default_attention_backend(self) -> str:
        return "torch_native"

    def is_pin_memory_available(self, device: torch.device | str | None = None) -> bool:
        return False
