"""A frame of the talker as one CUDA graph: backbone, sampling, code predictor, and the sum of its embeddings.

The plain way is `frame.PlainFrame`. Here nothing in a step asks the device for a value, and a step is a function of a
key (how many rows, how many pages, how many tokens a draw considers) and of a few numbers for each row. All else it
reads and writes is on the device, by slot or by page.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from sglang_omni.kernels.choice import is_faster, possible
from sglang_omni.kernels.paged_attention.reference import paged_attention
from sglang_omni.layers.cache import PagedAttention, paged
from sglang_omni.layers.company import law
from sglang_omni.layers.transfer import send
from sglang_omni.models.qwen3_omni.frame import Requests, Row, draw_codes
from sglang_omni.models.qwen3_omni.talker import Talker
from sglang_omni.sidecar.graphs import Graphs, bucket, buckets

FEW_PAGES = 4
"""Of a step at least, where each number of pages has graphs of its own: 20 seconds of sound."""

FIRST_PAGES = 8
"""Up to so many are captured at the start. Who speaks longer waits once, for the first who does."""

LIKELIEST = 64
"""A draw considers one token, so many, or the whole vocabulary, which few do: all others are captured at the start."""

EXAMPLE_ROWS = 1, 8
"""Of a step, when the kernel is tried."""


class Step(NamedTuple):
    """What fixes the shapes of a step: its rows, the pages of each (none for a prompt's end, whose hidden state is
    known), and how many tokens a draw considers."""

    rows: int
    pages: int
    width: int


class GraphFrame:
    """As `frame.PlainFrame`. The last page of the talker's pools is no request's: the rows that a bucket has left write
    there, and to the slot that is `requests.spare`."""

    def __init__(self, talker: Talker, text_rows: Tensor, requests: Requests, max_length: int):
        """`max_length`: the rows that a request may have."""
        self.talker = talker
        self.text_rows = text_rows
        self.requests = requests
        self.device = text_rows.device
        pool = talker.model.layers[0].self_attn.pool
        self.page_rows, self.spare_page = pool.shape[1], len(pool) - 1
        most = -(-max_length // self.page_rows)
        rows = requests.spare if text_rows.is_cuda else law().rows(requests.spare)
        self.row_sizes = buckets(rows, 1 if text_rows.is_cuda else law().least)
        self.kernel = self._kernel(pool, most) if possible(self.device) else None
        self.page_sizes = [most] if self.kernel else buckets(most, FEW_PAGES)
        self.pages = torch.full((requests.spare + 1, most), self.spare_page, device=self.device)
        self.known: list[list[int]] = [[] for _ in range(requests.spare)]  # the pages that the device knows, by slot
        self.hidden = torch.zeros(rows, requests.heard.shape[1], dtype=requests.heard.dtype, device=self.device)
        self.graphs: Graphs[Step] = Graphs(self._step, self._blank, self.device)
        with torch.inference_mode():
            self.graphs.prepare(self._first_steps())

    def _kernel(self, pool: Tensor, most: int) -> PagedAttention | None:
        from sglang_omni.kernels.paged_attention.kernel import paged_attention as kernel

        attention = self.talker.model.layers[0].self_attn
        few = min(FIRST_PAGES, most)
        for rows in EXAMPLE_ROWS:
            query = pool.new_empty(rows, attention.heads, attention.head_dim).normal_()
            example = pool.new_empty(rows * few, *pool.shape[1:]).normal_()
            pages = torch.arange(rows * most, device=self.device).view(rows, most) % len(example)
            lengths = torch.full((rows,), few * self.page_rows // 2, device=self.device)
            if not is_faster("paged_attention", partial(_of_first, few), kernel, query, example, pages, lengths):
                return None
        return kernel

    def _first_steps(self) -> Iterator[Step]:
        """From the largest on."""
        pages = [size for size in self.page_sizes if size <= FIRST_PAGES or self.kernel] or self.page_sizes[:1]
        for size in [*pages[::-1], 0]:
            for rows in self.row_sizes[::-1]:
                yield Step(rows, size, LIKELIEST)
                yield Step(rows, size, 1)

    def decode(self, states: Sequence[Row], texts: Sequence[int]) -> Tensor:
        most = max(state.length for state in states) // self.page_rows + 1
        self._tell_pages(states)
        return self._run(states, texts, bucket(most, self.page_sizes))

    def speak(self, states: Sequence[Row], hidden: Tensor) -> Tensor:
        self.hidden[: len(hidden)] = hidden
        return self._run(states, [0] * len(states), 0)

    def _tell_pages(self, states: Sequence[Row]) -> None:
        """Of those that have others than the device knows."""
        changed = [state for state in states if state.pages != self.known[state.slot]]
        if not changed:
            return
        most = self.pages.shape[1]
        rows = [[state.slot, *state.pages, *[self.spare_page] * (most - len(state.pages))] for state in changed]
        sent = send(torch.tensor(rows), self.device)
        self.pages.index_copy_(0, sent[:, 0], sent[:, 1:])
        for state in changed:
            self.known[state.slot] = list(state.pages)

    def _run(self, states: Sequence[Row], texts: Sequence[int], pages: int) -> Tensor:
        step = Step(bucket(len(states), self.row_sizes), pages, self._width([state.slot for state in states]))
        self.graphs.prepare_late(step)
        fields = [
            (state.slot, text, state.length, state.frames, state.position)
            for state, text in zip(states, texts, strict=True)
        ]
        return self.graphs(step, torch.tensor(fields, dtype=torch.float64))[: len(states)]

    def _width(self, slots: Sequence[int]) -> int:
        requests = self.requests
        samplers = requests.sampler, requests.residual_sampler
        width = max(sampler.width(slots) for sampler in samplers)
        return bucket(width, (1, LIKELIEST, max(sampler.vocabulary for sampler in samplers)))

    def _blank(self, step: Step) -> Tensor:
        row = torch.tensor([self.requests.spare, 0, 0, 0, 0], dtype=torch.float64)
        return row.repeat(step.rows, 1)

    def _step(self, step: Step, inputs: Tensor) -> Tensor:
        """Codes (rows, groups), from what the host knows of each row: slot, text, length, frame number and rotary
        position, in float64, which holds them all exactly."""
        slots, texts, lengths, steps = inputs[:, :4].long().unbind(1)
        requests = self.requests
        if step.pages:
            x = requests.heard.index_select(0, slots) + self.text_rows.index_select(0, texts)
            rotation = self.talker.rope.at(inputs[:, 4:], x.dtype)
            pages = self.pages.index_select(0, slots)[:, : step.pages]
            hidden = self.talker.model(x, paged(pages, lengths, self.page_rows, rotation, self.kernel))
        else:
            hidden = self.hidden[: step.rows]
        first = requests.sampler.wide(step.width, slots)
        residual = requests.residual_sampler.wide(step.width, slots)
        return draw_codes(self.talker, requests, slots, steps, hidden, first, residual)


def _of_first(few: int, query: Tensor, pool: Tensor, pages: Tensor, lengths: Tensor) -> Tensor:
    """The plain way, which reads no more pages than its bucket has."""
    return paged_attention(query, pool, pages[:, :few], lengths)
