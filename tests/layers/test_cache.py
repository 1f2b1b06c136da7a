"""Where a request's rows lie changes nothing of what it sees."""

import random

import pytest
import torch

from sglang_omni.kernels.paged_attention.reference import paged_attention
from sglang_omni.layers.cache import ByRow, causal_attention, paged, place
from sglang_omni.layers.rope import Rotation

SIZE, PAGES = 4, 12
HEADS, KV_HEADS, DIM = 4, 2, 8
NOWHERE = Rotation(torch.empty(0), torch.empty(0))  # the rows come rotated


def signal(time: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Queries, and keys with values, of one request."""
    return torch.randn(time, HEADS, DIM, dtype=torch.float64), torch.randn(time, 2 * KV_HEADS, DIM, dtype=torch.float64)


def whole(query: torch.Tensor, kv: torch.Tensor) -> torch.Tensor:
    return causal_attention(query[None], kv[None])[0]


@pytest.mark.parametrize("pages", [[0, 1, 2], [5, 6, 7], [7, 6, 5], [3, 1, 2]])
@pytest.mark.parametrize(("begin", "end"), [(0, 1), (0, 4), (3, 4), (3, 5), (4, 8), (2, 12), (0, 12), (11, 12)])
def test_a_place_is_that_of_its_rows(pages: list[int], begin: int, end: int):
    rows = torch.arange(PAGES * SIZE)
    mine = torch.cat([rows[page * SIZE : (page + 1) * SIZE] for page in pages])
    assert torch.equal(rows[place(pages, SIZE, begin, end)], mine[begin:end])


@pytest.mark.parametrize("seed", range(5))
def test_pieces_in_scattered_pages_see_what_the_whole_sees(seed: int):
    torch.manual_seed(seed)
    dice = random.Random(seed)
    pool = torch.full((PAGES, SIZE, 2 * KV_HEADS, DIM), torch.nan, dtype=torch.float64)
    free = dice.sample(range(PAGES), PAGES)
    requests = [signal(dice.randint(1, 15)) for _ in range(3)]
    pages = [[free.pop() for _ in range(-(-len(query) // SIZE))] for query, _ in requests]
    heard: list[list[torch.Tensor]] = [[] for _ in requests]
    for row, (query, kv) in enumerate(requests):
        begin = 0
        while begin < len(query):
            end = min(len(query), begin + dice.randint(1, 6))
            new, seen = place(pages[row], SIZE, begin, end), place(pages[row], SIZE, 0, end)
            access = ByRow(1, [new], [seen], NOWHERE)
            heard[row].append(access.attend(query[None, begin:end], kv[None, begin:end], pool)[0])
            begin = end
    for (query, kv), parts in zip(requests, heard, strict=True):
        torch.testing.assert_close(torch.cat(parts), whole(query, kv))


def test_all_rows_in_one_operation_see_what_each_sees_by_itself():
    torch.manual_seed(0)
    lengths, pages = [3, 9, 8], [[4], [9, 0, 6], [2, 3]]
    requests = [signal(length) for length in lengths]
    query = torch.stack([query[-1:] for query, _ in requests])
    kv = torch.stack([kv[-1:] for _, kv in requests])
    pool = torch.zeros(PAGES, SIZE, 2 * KV_HEADS, DIM, dtype=torch.float64)
    for (_, before), length, own in zip(requests, lengths, pages, strict=True):
        pool.flatten(0, 1)[place(own, SIZE, 0, length - 1)] = before[:-1]
    table = torch.tensor([own + [0] * (3 - len(own)) for own in pages])
    together = paged(table, torch.tensor(lengths) - 1, SIZE, NOWHERE).attend(query, kv, pool.clone())
    by_kernel = paged(table, torch.tensor(lengths) - 1, SIZE, NOWHERE, paged_attention).attend(query, kv, pool.clone())
    torch.testing.assert_close(by_kernel, together)
    new = [place(own, SIZE, length - 1, length) for own, length in zip(pages, lengths, strict=True)]
    seen = [place(own, SIZE, 0, length) for own, length in zip(pages, lengths, strict=True)]
    torch.testing.assert_close(together, ByRow(3, new, seen, NOWHERE).attend(query, kv, pool))
    for row, (own_query, own_kv) in enumerate(requests):
        torch.testing.assert_close(together[row, 0], whole(own_query, own_kv)[-1])
