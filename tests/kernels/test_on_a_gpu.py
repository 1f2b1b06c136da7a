"""The kernels as a step runs them, at Qwen3-Omni's dimensions."""

import pytest
import torch

from sglang_omni.benchmark.kernels import ERROR, on_gpu


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@torch.inference_mode()
def test_every_kernel_is_right_and_runs_in_a_cuda_graph() -> None:
    device = torch.device("cuda", torch.cuda.current_device())
    for case in on_gpu(device):
        assert case.error() < ERROR, f"{case.name}, {case.size}"
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):  # which refuses whatever waits for the device
            y = case.ours()
        if case.name != "norm_rope":  # which works in place
            y.fill_(torch.nan)
        graph.replay()
        assert y.isfinite().all(), f"{case.name}, {case.size}"
