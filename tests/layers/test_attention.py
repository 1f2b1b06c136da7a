import torch

from sglang_omni.layers.attention import frame_positions, window_mask
from sglang_omni.layers.streaming import Stream


def seen(positions: list[int], window: int) -> list[set[int]]:
    """Which positions the query at each of `positions` sees."""
    mask = window_mask(torch.tensor([positions]), window)[0, 0]
    keys = [positions[0] + i for i in range(1 - window, 0)] + positions
    return [{key for key, visible in zip(keys, row, strict=True) if visible} for row in mask.tolist()]


def test_a_frame_sees_itself_and_the_window_before_it() -> None:
    assert seen([0, 1, 2, 3, 4], window=3) == [{0}, {0, 1}, {0, 1, 2}, {1, 2, 3}, {2, 3, 4}]


def test_a_chunk_sees_its_stream_as_far_as_it_goes_back() -> None:
    assert seen([1, 2], window=4) == [{0, 1}, {0, 1, 2}]
    assert seen([100, 101], window=4) == [{97, 98, 99, 100}, {98, 99, 100, 101}]


def test_positions_go_on_where_each_stream_stopped() -> None:
    x = torch.zeros(2, 3, 1)
    assert frame_positions(x, None).tolist() == [[0, 1, 2]]
    stream = Stream(torch.tensor([1, 0]), torch.tensor([5, 90]), first=False)
    assert frame_positions(x, stream).tolist() == [[5, 6, 7], [90, 91, 92]]
