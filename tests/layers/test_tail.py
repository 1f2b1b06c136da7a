import pytest
import torch

from sglang_omni.layers.streaming import Stream, Tail, allocate


def stream(*slots: int, first: bool = False) -> Stream:
    return Stream(torch.tensor(slots), torch.zeros(len(slots), dtype=torch.int64), first)


@pytest.fixture
def tail() -> Tail:
    tail = Tail((2, 3))
    tail.allocate(4, torch.zeros(()))
    return tail


def steps(start: int, stop: int) -> torch.Tensor:
    """A signal (1, 2, time) that says what time it is, the second channel negated."""
    time = torch.arange(start, stop, dtype=torch.float32)
    return torch.stack((time, -time))[None]


def test_before_a_stream_is_silence(tail: Tail) -> None:
    for which in (None, stream(1, first=True)):
        joined = tail.prepend(steps(1, 3), which)
        assert joined.tolist() == [[[0, 0, 0, 1, 2], [0, 0, 0, -1, -2]]]


def test_what_came_before_is_put_in_front(tail: Tail) -> None:
    tail.prepend(steps(1, 3), stream(1, first=True))
    assert tail.prepend(steps(3, 4), stream(1))[0, 0].tolist() == [0, 1, 2, 3]
    assert tail.prepend(steps(4, 9), stream(1))[0, 0].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert tail.prepend(steps(9, 10), stream(1))[0, 0].tolist() == [6, 7, 8, 9]


def test_slots_keep_apart_in_any_order(tail: Tail) -> None:
    tail.prepend(torch.cat((steps(1, 4), steps(11, 14))), stream(3, 0, first=True))
    joined = tail.prepend(torch.cat((steps(14, 15), steps(4, 5))), stream(0, 3))
    assert joined[:, 0].tolist() == [[11, 12, 13, 14], [1, 2, 3, 4]]
    assert not tail.pool[[1, 2]].any()


def test_the_first_chunk_makes_a_slot_as_new(tail: Tail) -> None:
    tail.prepend(steps(1, 9), stream(2, first=True))
    tail.prepend(steps(21, 22), stream(2, first=True))
    assert tail.prepend(steps(22, 23), stream(2))[0, 0].tolist() == [0, 0, 21, 22]


def test_time_may_lie_on_any_axis() -> None:
    tail = Tail((3, 1, 2), axis=-3)
    tail.allocate(1, torch.zeros(()))
    signal = steps(1, 6).transpose(1, 2).unsqueeze(2)  # (1, time, 1, 2)
    tail.prepend(signal[:, :2], stream(0, first=True))
    assert tail.prepend(signal[:, 2:], stream(0))[0, :, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]


def test_a_tail_of_nothing_is_the_signal_itself() -> None:
    tail = Tail((2, 0))
    tail.allocate(1, torch.zeros(()))
    signal = steps(1, 4)
    assert tail.prepend(signal, stream(0, first=True)) is signal


def test_pools_lie_where_the_parameters_are() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(1, 1, dtype=torch.bfloat16), Tail((2, 3)), Tail((4, 5)))
    allocate(module, 6)
    assert [(pool.shape, pool.dtype) for pool in module.buffers()] == [
        ((6, 2, 3), torch.bfloat16),
        ((6, 4, 5), torch.bfloat16),
    ]
    assert not any("pool" in name for name in module.state_dict())
