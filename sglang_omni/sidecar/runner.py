"""The scheduler decides who runs; a Runner decides how."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from sglang_omni.sidecar.memory import Memory

Outputs: TypeAlias = Sequence[Any | None]
"""Per request of a step: what goes downstream, or None."""


@dataclass(frozen=True)
class Later:
    """The outputs of a step that a device still works on: `wait` gives them, once."""

    wait: Callable[[], Outputs]


class Runner(Protocol):
    """One stage's model, as the scheduler sees it. `State` is whatever `open` returns; it stays opaque.

    `slots` is how many requests may be open at once; the scheduler hands out the numbers 0..slots-1,
    so storage lives in the runner's pools and only addresses travel. `memory` is what a request needs beside its slot,
    and more of as it goes on; a step is taken with states that need no more.
    """

    slots: int
    memory: Memory

    def open(self, slot: int, params: dict[str, Any]) -> Any:
        """State of a new request in `slot`. Raises InvalidRequest for params it cannot serve."""

    def feed(self, state: Any, data: Any) -> None:
        """Input arrived: the `data` of a Chunk. `None`: there will be no more."""

    def bucket(self, state: Any) -> Hashable | None:
        """What this request could do now: None for nothing; requests with equal buckets may share a step."""

    def step(self, states: Sequence[Any]) -> Outputs | Later:
        """One step for requests of one bucket. If its outputs come later, the next step may begin before: `bucket` and
        `memory` then see the states as they will be, `seconds` and `finished` what has come."""

    def seconds(self, state: Any) -> float:
        """How long what has been made of this request so far lasts when it is heard."""

    def finished(self, state: Any) -> str | None:
        """Why the request is over (`stop`, `length`), or None while it is not. Asked while none of its steps is under
        way."""
