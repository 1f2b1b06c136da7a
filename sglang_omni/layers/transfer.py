"""Values on their way between the host and a device, where neither waits for the other.

Memory of the host that a GPU copies from or to by itself must be pinned. Torch keeps a pinned block until the copies
that use it are done, and gives it to the next.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def send(values: Tensor, device: torch.device) -> Tensor:
    """`values` of the host, on the device."""
    if device.type != "cuda":
        return values.to(device)
    return _pinned(values).to(device, non_blocking=True)


def write(values: Tensor, place: Tensor) -> None:
    """`values` of the host, into a tensor on the device."""
    if place.is_cuda:
        place.copy_(_pinned(values), non_blocking=True)
    else:
        place.copy_(values)


def _pinned(values: Tensor) -> Tensor:
    return torch.empty(values.shape, dtype=values.dtype, pin_memory=True).copy_(values)


def fetch(values: Tensor) -> Callable[[], Tensor]:
    """Begins to copy `values`, as they are now, to the host. The call of what is returned waits for them."""
    if values.device.type != "cuda":
        copy = values.to("cpu", copy=True)
        return lambda: copy
    host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    host.copy_(values, non_blocking=True)
    copied = torch.cuda.Event()
    copied.record()

    def wait() -> Tensor:
        copied.synchronize()
        return host

    return wait


def write_rows(values: Tensor, place: Tensor, rows: Sequence[int]) -> None:
    """`values` of the host, into so many rows of a tensor on the device."""
    place.index_copy_(0, send(torch.tensor(rows, dtype=torch.int64), place.device), send(values, place.device))


def fetch_rows(values: Tensor, rows: Sequence[int]) -> Callable[[], Tensor]:
    """As `fetch`, of some rows."""
    return fetch(values.index_select(0, send(torch.tensor(rows, dtype=torch.int64), values.device)))
