"""The smallest Runner: says each number it is fed, down to one, a step per number."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sglang_omni.errors import InvalidRequest
from sglang_omni.sidecar.memory import Memory, SlotOnly
from sglang_omni.sidecar.runner import Later, Outputs

SECONDS = 0.08
"""What a number lasts when it is heard."""


@dataclass
class State:
    slot: int
    kind: str
    pieces: int  # steps that say nothing yet, as a prompt's
    numbers: list[int] = field(default_factory=list)
    closed: bool = False
    said: int = 0


class Countdown:
    is_late = False  # what a step says comes later, as from a GPU

    def __init__(self, slots: int = 3):
        self.slots = slots
        self.memory: Memory = SlotOnly()
        self.batches: list[list[int]] = []  # slots of every step
        self.broken = self.breaks_later = False
        self.bug: Exception = ValueError("a bug")

    def open(self, slot: int, params: dict[str, Any]) -> State:
        if params.get("kind") == "impossible":
            raise InvalidRequest("kind 'impossible' is not known", param="kind")
        return State(slot, params.get("kind", "plain"), params.get("pieces", 0))

    def feed(self, state: State, data: int | None) -> None:
        if data is None:
            state.closed = True
        else:
            state.numbers += range(data, 0, -1)

    def bucket(self, state: State) -> str | None:
        if state.numbers and state.pieces:
            return f"{state.kind}, {state.pieces} to come"
        return state.kind if state.numbers else None

    def step(self, states: Sequence[State]) -> Outputs | Later:
        said = self.begin(states)
        later = Later(lambda: self.end(states, said))
        return later if self.is_late else later.wait()

    def begin(self, states: Sequence[State]) -> Outputs:
        if self.broken:
            raise self.bug
        assert len({state.kind for state in states}) == 1
        self.batches.append([state.slot for state in states])
        if states[0].pieces:
            for state in states:
                state.pieces -= 1
            return [None] * len(states)
        return [state.numbers.pop(0) for state in states]

    def end(self, states: Sequence[State], said: Outputs) -> Outputs:
        if self.breaks_later:
            raise self.bug
        for state, number in zip(states, said, strict=True):
            state.said += number is not None
        return said

    def seconds(self, state: State) -> float:
        return state.said * SECONDS

    def finished(self, state: State) -> str | None:
        return "stop" if state.closed and not state.numbers else None
