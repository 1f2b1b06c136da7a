"""How far a benchmark is, and what it has found so far: whatever ends it early, that is told."""

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def shown(items: Iterable[Item], what: str, line: Callable[[Item], str] | None = None) -> Iterator[Item]:
    """`items`, counted as they come on a terminal, if tqdm is installed; and a `line` about each on standard error."""
    write: Callable[..., object] = print
    try:
        from tqdm import tqdm
    except ImportError:
        pass
    else:
        items, write = tqdm(items, desc=what, disable=None), tqdm.write
    for item in items:
        if line:
            write(f"{what}: {line(item)}", file=sys.stderr)
        yield item
