"""k-means, begun as by Arthur and Vassilvitskii 2007 ("k-means++")."""

import torch
from torch import Tensor


def k_means(points: Tensor, count: int, rounds: int = 15) -> Tensor:
    """(n, size) -> (count, size)."""
    centres = points[:1]
    distance = (points - centres).square().sum(1)
    while len(centres) < count:
        chosen = points[torch.multinomial(distance + 1e-9, 1)]
        centres = torch.cat([centres, chosen])
        distance = torch.minimum(distance, (points - chosen).square().sum(1))
    for _ in range(rounds):
        nearest = torch.cdist(points, centres).argmin(1)
        sums = torch.zeros_like(centres).index_add_(0, nearest, points)
        sizes = torch.bincount(nearest, minlength=count)
        centres = torch.where((sizes > 0)[:, None], sums / sizes.clamp_min(1)[:, None], centres)
    return centres
