"""How long work on a CUDA device takes in a CUDA graph, which is how steps run, with cold caches, as between layers."""

from collections.abc import Callable

import torch

REPEATS = 20
REPLAYS = 5
LEAST = 1e-7  # of what the clock resolves


def seconds(call: Callable[[], object], device: torch.device, graph: bool = True) -> float:
    """Of one call. Without `graph`, for what cannot be captured, launches count too."""
    with torch.cuda.device(device):
        cache = torch.cuda.get_device_properties(device).L2_cache_size
        other = torch.empty(2 * cache, dtype=torch.uint8, device=device)

        def cold() -> None:
            other.zero_()
            call()

        return max(_each(cold, graph) - _each(other.zero_, graph), LEAST)


def _each(call: Callable[[], object], graph: bool) -> float:
    """Seconds of the fastest of a few rounds, divided by the calls in it."""

    def calls() -> None:
        for _ in range(REPEATS):
            call()

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        calls()  # compiles, and takes the memory
    torch.cuda.synchronize()
    play = _captured(calls).replay if graph else calls
    times = []
    for _ in range(REPLAYS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        play()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return min(times) / 1000 / REPEATS


def _captured(calls: Callable[[], None]) -> torch.cuda.CUDAGraph:
    graph = torch.cuda.CUDAGraph()
    current = torch.cuda.stream(torch.cuda.current_stream())  # which a capture that fails does not give back
    with current, torch.cuda.graph(graph):
        calls()
    return graph
