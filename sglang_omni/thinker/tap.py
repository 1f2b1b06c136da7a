"""The thinker's residual stream at one layer's input, kept for as long as the KV beside it."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn


class Tap:
    """One row per KV slot, `(slots, hidden)`, written by every prefill forward.

    Whoever owns a slot's KV ran the forward that wrote the row. So a radix hit, a chunk, an eviction, a reused slot
    or a retraction needs no bookkeeping here: the rows of a prompt are the rows of its slots.
    """

    def __init__(self, slots: int, hidden: int, dtype: torch.dtype, device: str | torch.device):
        self.rows = torch.zeros(slots, hidden, dtype=dtype, device=device)

    def attach(self, layer: nn.Module) -> None:
        """Listens at the input of an SGLang decoder layer."""
        layer.register_forward_pre_hook(self._ask, with_kwargs=True)

    def _ask(self, layer: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Asks the layer for its input stream, in prefill only: decode graphs hold nothing of this."""
        forward_batch = args[2]  # positions, hidden_states, forward_batch
        if not forward_batch.forward_mode.is_extend():
            return None
        return args, {**kwargs, "capture_output": partial(self.write, forward_batch.out_cache_loc)}

    def write(self, slots: Tensor, rows: Tensor, owned: bool = False) -> None:
        """`slots` (tokens,), `rows` (tokens, hidden). SGLang says whether `rows` is ours to keep; we copy."""
        self.rows[slots] = rows

    def read(self, slots: Tensor) -> Tensor:
        """(tokens, hidden), a copy."""
        return self.rows[slots]


class HostCopy:
    """A tensor on its way to the host: the copy runs behind what its stream already does."""

    def __init__(self, source: Tensor):
        self._event: torch.cuda.Event | None = None
        self._host = source
        if source.is_cuda:
            self._host = torch.empty(source.shape, dtype=source.dtype, pin_memory=True)
            self._host.copy_(source, non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record()

    def tensor(self) -> Tensor:
        """Waits until it has arrived."""
        if self._event is not None:
            self._event.synchronize()
        return self._host
