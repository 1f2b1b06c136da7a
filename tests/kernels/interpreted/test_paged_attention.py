import pytest
import torch

from sglang_omni.kernels.paged_attention.kernel import PART, paged_attention
from sglang_omni.kernels.paged_attention.reference import paged_attention as reference
from tests.kernels.interpreted.tolerance import assert_equals_reference

LENGTHS = 1, 16, 17, PART, PART + 1, 300, 0


def case(
    dtype: torch.dtype, heads: int, kv_heads: int, head_dim: int, page_rows: int, lengths: tuple[int, ...]
) -> tuple[torch.Tensor, ...]:
    """Pages in no order; what lies beyond the lengths is not a number."""
    generator = torch.Generator().manual_seed(heads)
    most = -(-max(lengths) // page_rows)
    count = len(lengths) * most
    pool = torch.randn(count, page_rows, 2 * kv_heads, head_dim, generator=generator).to(dtype)
    pages = torch.randperm(count, generator=generator).view(len(lengths), most)
    query = torch.randn(len(lengths), heads + 3, head_dim, generator=generator).to(dtype)[:, :heads]
    return query, pool, pages, torch.tensor(lengths)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("heads", "kv_heads", "head_dim", "page_rows"), [(16, 2, 128, 64), (4, 4, 32, 16)])
def test_attention_is_the_reference(
    heads: int, kv_heads: int, head_dim: int, page_rows: int, dtype: torch.dtype
) -> None:
    query, pool, pages, lengths = case(dtype, heads, kv_heads, head_dim, page_rows, LENGTHS)
    assert_equals_reference(paged_attention, reference, query, pool, pages.int(), lengths)


def test_what_lies_beyond_a_length_is_not_read() -> None:
    query, pool, pages, lengths = case(torch.float32, 4, 2, 32, 16, (5, 40))
    expected = reference(query, pool, pages, lengths)
    for row, length in enumerate(lengths):
        flat = pool.flatten(0, 1)
        of_row = (pages[row][:, None] * 16 + torch.arange(16)).flatten()
        flat[of_row[length:]] = torch.nan
        pages[row, -(-int(length) // 16) :] = len(pool) + 1000
    torch.testing.assert_close(paged_attention(query, pool, pages, lengths), expected)


def test_company_and_the_width_of_the_table_change_no_bit() -> None:
    query, pool, pages, lengths = case(torch.float32, 4, 2, 32, 16, (100, 300))
    together = paged_attention(query, pool, pages, lengths)
    alone = paged_attention(query[:1], pool, pages[:1, :7], lengths[:1])
    assert torch.equal(together[:1], alone)
