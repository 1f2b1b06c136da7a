"""The smallest Runner: says each number it is fed, down to one, a step per number."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sglang_omni.errors import InvalidRequest
from sglang_omni.sidecar.memory import Memory, SlotOnly

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
    def __init__(self, slots: int = 3):
        self.slots = slots
        self.memory: Memory = SlotOnly()
        self.batches: list[list[int]] = []  # slots of every step
        self.broken = False

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

    def step(self, states: Sequence[State]) -> list[int | None]:
        if self.broken:
            raise ValueError("a bug")
        assert len({state.kind for state in states}) == 1
        self.batches.append([state.slot for state in states])
        if states[0].pieces:
            for state in states:
                state.pieces -= 1
            return [None] * len(states)
        for state in states:
            state.said += 1
        return [state.numbers.pop(0) for state in states]

    def seconds(self, state: State) -> float:
        return state.said * SECONDS

    def finished(self, state: State) -> str | None:
        return "stop" if state.closed and not state.numbers else None
