"""How far a benchmark is, on a terminal."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def shown(items: Iterable[Item], what: str) -> Iterator[Item]:
    """`items`, counted as they come; where tqdm is not installed, they come in silence."""
    try:
        from tqdm import tqdm
    except ImportError:
        return iter(items)
    return iter(tqdm(items, desc=what, disable=None))
