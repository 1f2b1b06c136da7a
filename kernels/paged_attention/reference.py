"""One query per row, to the keys of its own pages."""

import torch
import torch.nn.functional as F
from torch import Tensor


def paged_attention(query: Tensor, pool: Tensor, pages: Tensor, lengths: Tensor) -> Tensor:
    """query (batch, heads, head_dim) to the first `lengths` (batch,) rows of each row's pages: the same shape.

    pool (pages, rows of a page, 2 * kv_heads, head_dim), keys then values; pages (batch, most pages) are numbers of
    its pages, filled up with any. A row of length 0 is padding, and gives zeros.
    """
    kv = pool[pages].flatten(1, 2).transpose(1, 2)
    key, value = kv.chunk(2, 1)
    seen = torch.arange(kv.shape[2], device=lengths.device) < lengths[:, None]
    grouped = query.reshape(len(query), key.shape[1], -1, query.shape[-1])
    y = F.scaled_dot_product_attention(grouped, key, value, seen[:, None, None]).view(query.shape)
    return y.masked_fill_((lengths == 0)[:, None, None], 0)
