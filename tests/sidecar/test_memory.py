"""The laws of pages: each is free or held once, and what is parked comes back to the bit."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sglang_omni.sidecar.memory import Pages, SlotOnly

PAGES, SIZE = 7, 4


@dataclass(eq=False)
class State:
    wanted: int = 1  # rows that it must have room for
    length: int = 0
    pages: list[int] = field(default_factory=list)
    parked: list[Callable[[], torch.Tensor]] = field(default_factory=list)
    said: list[float] = field(default_factory=list)  # what it has written, row by row


def make() -> tuple[Pages, torch.Tensor]:
    pools = [torch.zeros(PAGES, SIZE, 3), torch.zeros(PAGES, SIZE, 2, dtype=torch.float64)]
    return Pages(pools, lambda state: state.wanted), pools[0]


def write(state: State, pool: torch.Tensor, value: float) -> None:
    pool[state.pages[state.length // SIZE], state.length % SIZE] = value
    state.length += 1
    state.said.append(value)


def read(state: State, pool: torch.Tensor) -> list[float]:
    rows = pool[state.pages].flatten(0, 1)[: state.length]
    return rows[:, 0].tolist()


@pytest.mark.parametrize(("wanted", "held", "needed"), [(1, 0, 1), (4, 0, 1), (5, 0, 2), (5, 1, 1), (3, 2, 0)])
def test_what_is_needed_is_whole_pages(wanted: int, held: int, needed: int):
    memory, _ = make()
    state = State(wanted=held * SIZE)
    memory.give(state)
    state.wanted = wanted
    assert (memory.held(state), memory.needed(state)) == (held, needed)


def test_the_pages_of_one_who_comes_first_lie_side_by_side():
    memory, _ = make()
    first, second = State(wanted=3 * SIZE), State(wanted=SIZE)
    memory.give(first)
    memory.give(second)
    assert (first.pages, second.pages) == ([0, 1, 2], [3])
    memory.release(first)
    again = State(wanted=2 * SIZE)
    memory.give(again)
    assert again.pages == [0, 1]


def test_what_was_given_for_later_is_not_kept_while_parked():
    memory, pool = make()
    state = State(wanted=5 * SIZE)
    memory.give(state)
    write(state, pool, 1.5)
    memory.park(state)
    assert [len(copied()) for copied in state.parked] == [1, 1]
    state.wanted = 2
    memory.give(state)
    assert memory.held(state) == 1
    assert read(state, pool) == [1.5]


@given(st.integers(0, 2**32))
def test_whoever_is_parked_finds_again_what_it_wrote(seed: int):
    dice = Random(seed)
    memory, pool = make()
    states: list[State] = []
    for _ in range(60):
        match dice.randrange(4):
            case 0:
                states.append(State())
            case 1 if states:
                memory.park(dice.choice(states))
            case 2 if states:
                memory.release(states.pop(dice.randrange(len(states))))
            case _ if states:
                state = dice.choice(states)
                state.wanted = state.length + 1
                if memory.needed(state) <= memory.free:
                    memory.give(state)
                    write(state, pool, dice.random())
        assert memory.free + sum(map(memory.held, states)) == memory.total == PAGES
        held = [page for state in states for page in state.pages]
        assert len(set(held)) == len(held)
        for state in states:
            if state.pages:
                assert read(state, pool) == torch.tensor(state.said).tolist()
    for state in states:
        memory.release(state)
    assert memory.free == PAGES


def test_a_stage_with_slots_alone_has_no_pages():
    memory = SlotOnly()
    memory.give(object())
    memory.park(object())
    memory.release(object())
    assert (memory.total, memory.free, memory.held(object()), memory.needed(object())) == (0, 0, 0, 0)
