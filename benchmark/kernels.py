"""Each kernel against the plain operations it replaces; on a CPU, the operations that the product has for CPUs.

On a GPU at Qwen3-Omni's dimensions, with random weights in bfloat16; on a CPU at the demo model's, in float32. It needs
torch, and Triton on a GPU, but neither SGLang nor a checkpoint.
"""

import argparse
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sglang_omni.benchmark import machine
from sglang_omni.benchmark.progress import shown
from sglang_omni.kernels.timing import seconds
from sglang_omni.layers.activation import SnakeBeta, snake_beta
from sglang_omni.layers.cache import Access, ByRow
from sglang_omni.layers.company import law
from sglang_omni.layers.decoder import DecoderLayer, GatedMlp
from sglang_omni.layers.moe import GroupedExperts, SparseMoe
from sglang_omni.layers.norm import RmsNorm
from sglang_omni.layers.rope import Rope, Rotation, rotate

REAL = SimpleNamespace(hidden=1024, heads=16, kv_heads=2, head_dim=128, experts=128, active=6, intermediate=384)
DEMO = SimpleNamespace(hidden=64, heads=4, kv_heads=2, head_dim=32, experts=8, active=2, intermediate=32)
ROWS = 1, 8, 32
LENGTHS = 200, 2000
PAGES, PAGE_ROWS = 128, 64
"""A row's page table, and rows of a page."""
UNITS = (768, 32), (96, 1920)
"""Channels and steps a frame of code2wav's first and last residual units."""
FRAMES, DILATION = 4, 9
CPU_CHANNELS, CPU_STEPS = 32, 64
ERROR = 2e-2


@dataclass(frozen=True)
class Case:
    """Two ways to the same tensor, and the bytes that any way must move."""

    name: str
    size: str
    plain: Callable[[], Tensor]
    ours: Callable[[], Tensor]
    moved: int

    def error(self) -> float:
        """The difference's norm, as a share of the result's."""
        expected = self.plain().float()
        return float((self.ours().float() - expected).norm() / expected.norm())


def bytes_of(*tensors: Tensor) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def rows(count: int) -> str:
    return f"{count} row" + "s" * (count != 1)


# On a GPU


def on_gpu(device: torch.device) -> Iterator[Case]:
    randn = partial(torch.randn, dtype=torch.bfloat16, device=device)
    yield from expert_cases(device)
    yield from attention_cases(randn)
    yield from norm_rope_cases(randn, device)
    yield from unit_cases(device)


def gated_mlp(device: torch.device, dtype: torch.dtype, hidden: int, intermediate: int) -> GatedMlp:
    mlp = GatedMlp(hidden, intermediate).to(device, dtype)
    for parameter in mlp.parameters():
        parameter.normal_(std=parameter.shape[1] ** -0.5)
    return mlp


def routes(count: int, experts: int, active: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    best, chosen = torch.rand(count, experts, device=device).topk(active)
    return best.softmax(-1).to(dtype), chosen


def expert_cases(device: torch.device) -> Iterator[Case]:
    from sglang_omni.kernels.experts.kernel import experts

    d, dtype = REAL, torch.bfloat16
    mlps = [gated_mlp(device, dtype, d.hidden, d.intermediate) for _ in range(d.experts)]
    grouped = GroupedExperts(mlps, gated_mlp(device, dtype, d.hidden, 2 * d.intermediate), d.active)
    for count in ROWS:
        x, residual = torch.randn(2, count, d.hidden, dtype=dtype, device=device)
        weights, chosen = routes(count, d.experts, d.active, dtype, device)
        read = len(chosen.unique()) * bytes_of(grouped.gate_up[0], grouped.down[0])
        yield Case(
            "experts",
            rows(count),
            partial(grouped.grouped, x, residual, weights, chosen),
            partial(experts, x, grouped.gate_up, grouped.down, weights, chosen, residual),
            read + 3 * bytes_of(x),
        )


def attention_cases(randn: Callable[..., Tensor]) -> Iterator[Case]:
    from sglang_omni.kernels.paged_attention.kernel import paged_attention
    from sglang_omni.kernels.paged_attention.reference import paged_attention as reference

    d = REAL
    for count in ROWS:
        pool, query = randn(count * PAGES, PAGE_ROWS, 2 * d.kv_heads, d.head_dim), randn(count, d.heads, d.head_dim)
        pages = torch.randperm(len(pool), device=pool.device).view(count, PAGES)
        for length in LENGTHS:
            used = pages[:, : -(-length // PAGE_ROWS)]
            lengths = torch.full((count,), length, device=pool.device)
            yield Case(
                "paged_attention",
                f"{rows(count)} of {length}",
                partial(reference, query, pool, used, lengths),
                partial(paged_attention, query, pool, pages, lengths),
                count * length * bytes_of(pool[0, 0]) + 2 * bytes_of(query),
            )


def norm_rope_cases(randn: Callable[..., Tensor], device: torch.device) -> Iterator[Case]:
    from sglang_omni.kernels.norm_rope.kernel import norm_rope

    d = REAL
    normed = d.heads + d.kv_heads
    norm = RmsNorm(d.head_dim, 1e-6)
    scale = randn(normed, d.head_dim)
    norm.prepare(scale)

    def plain(qkv: Tensor, rotation: Rotation) -> Tensor:
        qk = qkv.narrow(2, 0, normed)
        rotate(norm(qk), rotation, out=qk)
        return qkv

    for count in ROWS:
        qkv = randn(count, 1, normed + d.kv_heads, d.head_dim)
        positions = torch.arange(count, device=device)[:, None]
        rotation = Rope(d.head_dim, {"rope_theta": 1e6}, device).at(positions, qkv.dtype)
        yield Case(
            "norm_rope",
            rows(count),
            partial(plain, qkv.clone(), rotation),
            partial(norm_rope, qkv, scale, 1e-6, *rotation),
            2 * bytes_of(qkv[:, :, :normed]) + bytes_of(*rotation, scale),
        )


def unit_cases(device: torch.device) -> Iterator[Case]:
    from sglang_omni.kernels.snake.kernel import snake
    from sglang_omni.models.qwen3_omni.code2wav import ResidualUnit

    for channels, steps in UNITS:
        unit = ResidualUnit(channels, DILATION).to(device, torch.bfloat16)
        factors = unit.act1.factors()
        unit.act1.freeze()
        unit.act2.freeze()
        ours, weights = unit.fused(), bytes_of(*unit.parameters())
        for count in ROWS:
            tail, size = unit.conv1.tail.length, f"{rows(count)} of {FRAMES} frames, {channels} channels"
            x = torch.randn(count, channels, tail + FRAMES * steps, dtype=torch.bfloat16, device=device)
            yield Case("snake", size, partial(snake_beta, x, *factors), partial(snake, x, *factors), 2 * bytes_of(x))
            yield Case(
                "snake_conv",
                size,
                partial(unit.plain, x),
                partial(ours, x),
                weights + bytes_of(x) + bytes_of(x[..., tail:]),
            )


# On a CPU


def on_cpu() -> Iterator[Case]:
    d, dtype, device = DEMO, torch.float32, torch.device("cpu")
    mlps = [gated_mlp(device, dtype, d.hidden, d.intermediate) for _ in range(d.experts)]
    parts = [tuple(parameter.data for parameter in mlp.parameters()) for mlp in mlps]
    shared = gated_mlp(device, dtype, d.hidden, 2 * d.intermediate)
    shared_parts = tuple(parameter.data for parameter in shared.parameters())
    fused = GroupedExperts(mlps, shared, d.active)
    for count in ROWS:
        x, residual = torch.randn(2, count, d.hidden)
        arguments = x, residual, *routes(count, d.experts, d.active, dtype, device), torch.rand(count, 1)
        moved = sum(bytes_of(*part) for part in (*parts, shared_parts)) + 3 * bytes_of(x)
        plain = partial(each_expert, parts, shared_parts, *arguments)
        yield Case("GroupedExperts", rows(count), plain, partial(fused, *arguments), moved)
    yield from layer_cases()
    norm = RmsNorm(d.hidden, 1e-6)
    norm.prepare(weight := torch.randn(d.hidden))
    for count in ROWS:
        x = torch.randn(count, d.hidden)
        plain = partial(F.rms_norm, x, (d.hidden,), weight, 1e-6)
        yield Case("RmsNorm", rows(count), plain, partial(norm, x), 2 * bytes_of(x))
    snake, frozen = SnakeBeta(CPU_CHANNELS), SnakeBeta(CPU_CHANNELS)
    frozen.freeze()
    for count in ROWS:
        x = torch.randn(count, CPU_CHANNELS, CPU_STEPS)
        plain, ours = partial(snake.forward, x), partial(frozen.forward, x)
        yield Case("SnakeBeta, frozen", rows(count), plain, ours, 2 * bytes_of(x))


def layer_cases() -> Iterator[Case]:
    """A decoder layer with experts in torch's operations, and compiled."""
    from sglang_omni.layers.compiled import Cache
    from sglang_omni.models.qwen3_omni.compiled_frame import layer_weights

    d, length = DEMO, LENGTHS[0]
    names = {"num_attention_heads": d.heads, "num_key_value_heads": d.kv_heads, "head_dim": d.head_dim}
    moe = {"num_experts": d.experts, "num_experts_per_tok": d.active, "moe_intermediate_size": d.intermediate}
    config = SimpleNamespace(
        **names,
        **moe,
        hidden_size=d.hidden,
        shared_expert_intermediate_size=2 * d.intermediate,
        norm_topk_prob=True,
        attention_bias=False,
        rms_norm_eps=1e-6,
    )
    layer = DecoderLayer(config, SparseMoe(config))
    for parameter in layer.parameters():
        parameter.normal_(std=parameter.shape[-1] ** -0.5)
    layer.prepare(max(ROWS), length)
    pool = layer.self_attn.pool.normal_()
    keys = pool.view(-1, d.head_dim).numpy()
    cache = Cache(keys, keys, 2 * d.kv_heads, d.kv_heads, length)
    weights = layer_weights(layer)
    for count in ROWS:
        x, at = torch.randn(law().rows(count), d.hidden), torch.full((count,), length - 1)
        rotation = Rope(d.head_dim, {"rope_theta": 1e6}).at(at[:, None], x.dtype)
        padding = Rotation(*(torch.cat((part, part[:1].expand(len(x) - count, -1, -1, -1))) for part in rotation))
        begins = [length * row for row in range(count)]
        access = ByRow(
            len(x),
            [slice(begin + length - 1, begin + length) for begin in begins],
            [slice(begin, begin + length) for begin in begins],
            padding,
        )
        cos, sin = (part[:, 0, 0].contiguous().numpy() for part in rotation)
        pages, positions = torch.arange(count)[:, None].numpy(), at.numpy()

        compiled = partial(layer_compiled, x[:count], weights, d.active, cos, sin, cache, pages, positions)
        moved = sum(weight.nbytes for weight in weights)
        plain = partial(layer_plain, x, count, layer, access)
        yield Case(f"decoder layer, {length} rows heard", rows(count), plain, compiled, moved)


def layer_plain(x: Tensor, count: int, layer: DecoderLayer, access: Access) -> Tensor:
    return layer(x, access)[:count]


def layer_compiled(x: Tensor, weights: Any, active: int, *where: Any) -> Tensor:
    """`where`: what `compiled.expert_layer` wants to know of positions and what has been heard."""
    from sglang_omni.layers.compiled import expert_layer

    y = x.clone()
    expert_layer(y.numpy(), weights, 1e-6, active, True, *where)
    return y


def each_expert(
    experts: Sequence[tuple[Tensor, ...]],
    shared_expert: tuple[Tensor, ...],
    x: Tensor,
    residual: Tensor,
    weights: Tensor,
    chosen: Tensor,
    shared: Tensor,
) -> Tensor:
    """One expert after another, each for the rows that chose it."""

    def mlp(x: Tensor, gate: Tensor, up: Tensor, down: Tensor) -> Tensor:
        return F.linear(F.silu(F.linear(x, gate)) * F.linear(x, up), down)

    y = residual + mlp(x, *shared_expert) * shared
    for number, expert in enumerate(experts):
        row, place = torch.where(chosen == number)
        if len(row):
            y.index_add_(0, row, mlp(x[row], *expert) * weights[row, place, None])
    return y


def cpu_seconds(call: Callable[[], object]) -> float:
    """Of the fastest of a few rounds of as many calls as take a hundredth of a second."""
    call()
    begun = time.perf_counter()
    call()
    calls = max(1, int(0.01 / (time.perf_counter() - begun)))
    times = []
    for _ in range(7):
        begun = time.perf_counter()
        for _ in range(calls):
            call()
        times.append((time.perf_counter() - begun) / calls)
    return min(times)


# What is told


def copy_bandwidth(clock: Callable[[Callable[[], object]], float], device: torch.device) -> float:
    """Bytes read and written a second."""
    source = torch.ones(2**30 if device.type == "cuda" else 2**27, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * len(source) / clock(partial(target.copy_, source))


def summary(device: torch.device, command: str) -> tuple[str, bool]:
    """A page in Markdown, and whether all results agree."""
    gpu = device.type == "cuda"
    clock = partial(seconds, device=device) if gpu else cpu_seconds
    bandwidth = copy_bandwidth(clock, device)
    table, agree = [], True

    def row(case: Case) -> tuple[str, bool]:
        """Of the table, and whether the results agree."""
        try:
            error = case.error()
            before, after = clock(case.plain), clock(case.ours)
        except Exception as failure:  # of a compiler, a driver, a capture: the others are told of all the same
            return f"| {case.name} | {case.size} | {' '.join(str(failure).split())[:200]} | | | | | |", False
        share = f"{case.moved / after / bandwidth:.0%}" if gpu else "-"  # what is small stays in a CPU's cache
        told = (
            f"| {case.name} | {case.size} | {before * 1e6:.1f} | {after * 1e6:.1f} | {before / after:.2f} "
            f"| {case.moved / 2**20:.2f} | {share} | {error:.0e} |"
        )
        return told, error <= ERROR

    for told, is_right in shown(map(row, on_gpu(device) if gpu else on_cpu()), "kernels", itemgetter(0)):
        table.append(told)
        agree &= is_right
    page = [
        machine.table({**machine.facts(command), "copy bandwidth": f"{bandwidth / 1e9:,.0f} GB/s"}),
        "",
        "| | size | plain, µs | ours, µs | speedup | MiB | of copy bandwidth | difference |",
        "|---|---|---|---|---|---|---|---|",
        *table,
    ]
    return "\n".join(page), agree


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="sgl-omni bench kernels", description=__doc__)
    default = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=default, help="cuda, cuda:1 or cpu (default: what there is)")
    parser.add_argument("--output", type=Path, help="also write the page to this file")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    device = torch.device(options.device)
    if device.type == "cuda":
        torch.cuda.set_device(device if device.index is not None else torch.cuda.current_device())
    with torch.inference_mode():
        page, agree = summary(device, shlex.join(["sgl-omni", "bench", "kernels", *arguments]))
    print(page)
    if options.output:
        options.output.write_text(f"# Kernels\n\n{page}\n")
    return 0 if agree else 1
