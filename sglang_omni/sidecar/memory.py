"""Memory that grows with a request: handed out in pages, taken back in need, given back at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # the command line knows of stages before anything heavy is imported
    from torch import Tensor


class Memory(Protocol):
    """What a stage's requests hold, by state; `total` and `free` count pages."""

    total: int

    @property
    def free(self) -> int: ...

    def held(self, state: Any) -> int:
        """Pages of a request."""

    def needed(self, state: Any) -> int:
        """Pages that a request must be given before it can take its next step."""

    def give(self, state: Any) -> None:
        """As many as are needed; they must be free."""

    def park(self, state: Any) -> None:
        """Takes all pages away. What was written in them comes back, to the bit, when they are given again."""

    def release(self, state: Any) -> None:
        """Takes all pages away for ever. Every state comes here once, at its end."""


class SlotOnly:
    """Of a stage whose requests need nothing but their slot."""

    total = free = 0

    def held(self, state: Any) -> int:
        return 0

    needed = held

    def give(self, state: Any) -> None:
        pass

    park = release = give


class Paged(Protocol):
    """A state of which `length` rows have been written to its pages: the numbers of those it holds, or else what was in
    them, which is on its way to the host."""

    length: int
    pages: list[int]
    parked: list[Callable[[], Tensor]]


class Pages:
    """Rows of tensors that all have the same pages: each of `pools` is (pages, rows of a page, ...).

    `rows` says how many a state must have room for before its next step. The lowest free pages are given first, so
    that a request's tend to lie side by side.
    """

    def __init__(self, pools: Sequence[Tensor], rows: Callable[[Any], int]):
        self.total, self.size = pools[0].shape[:2]
        self._pools = pools
        self._rows = rows
        self._free = list(range(self.total))  # a heap

    @property
    def free(self) -> int:
        return len(self._free)

    def held(self, state: Paged) -> int:
        return len(state.pages)

    def needed(self, state: Paged) -> int:
        return max(0, -(-self._rows(state) // self.size) - len(state.pages))

    def give(self, state: Paged) -> None:
        from sglang_omni.layers.transfer import write_rows

        state.pages += [heappop(self._free) for _ in range(self.needed(state))]
        if state.parked:
            for pool, copied in zip(self._pools, state.parked, strict=True):
                values = copied()
                write_rows(values, pool, state.pages[: len(values)])
            state.parked = []

    def park(self, state: Paged) -> None:
        from sglang_omni.layers.transfer import fetch_rows

        if not state.pages:
            return  # parked already, or new
        written = state.pages[: -(-state.length // self.size)]
        state.parked = [fetch_rows(pool, written) for pool in self._pools]
        self.release(state)

    def release(self, state: Paged) -> None:
        for page in state.pages:
            heappush(self._free, page)
        state.pages = []
