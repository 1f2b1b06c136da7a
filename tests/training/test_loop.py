"""The loop that trains, its optimiser, and its products in bfloat16."""

from contextlib import nullcontext
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sglang_omni.layers.company import alike
from training.half import HalfProducts
from training.loop import Checkpoint, train
from training.muon import Muon, kind, orthogonal


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.embed = nn.Embedding(7, 8)
        self.mixed = nn.Linear(8, 12)
        self.experts = nn.Parameter(torch.randn(3, 12, 5) / 4)
        self.head = nn.Linear(5, 7)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(torch.einsum("ni,eio->no", self.mixed(self.embed(ids)), self.experts))


def run(path: Path, steps: int, stop: int | None = None) -> Small:
    model = Small()
    checkpoint = Checkpoint(path)
    checkpoint.interval = 0.0

    def loss(step: int) -> Tensor:
        if step == stop:
            raise KeyboardInterrupt
        ids = torch.randint(7, (16,), generator=torch.Generator().manual_seed(step))
        return nn.functional.cross_entropy(model(ids), (ids + 1) % 7)

    train(model, loss, steps, 1e-2, checkpoint, lambda line: None, ("head",))
    return model


def test_a_run_that_is_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole.pt", 20)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped.pt", 20, stop=11)
    again = run(tmp_path / "stopped.pt", 20)
    for (name, a), b in zip(whole.named_parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b), name
    ids = torch.arange(7)
    before, after = (nn.functional.cross_entropy(model(ids), (ids + 1) % 7) for model in (Small(), whole))
    assert after < before


def test_what_is_orthogonal_has_singular_values_near_one_and_the_same_directions() -> None:
    torch.manual_seed(0)
    for shape in ((5, 24, 16), (1, 16, 24), (6, 20, 28)):
        found = orthogonal(torch.randn(shape))
        assert found.shape == shape
        singular = torch.linalg.svdvals(found)
        assert singular.min() > 0.3, shape
        assert singular.max() < 1.4, shape
    stack = torch.randn(4, 16, 24)
    left, _, right = torch.linalg.svd(stack, full_matrices=False)
    overlap = (orthogonal(stack) * (left @ right)).sum((1, 2)) / 16
    assert overlap.min() > 0.8


def test_a_stack_of_matrices_moves_as_each_would_alone() -> None:
    torch.manual_seed(0)
    stack = nn.Parameter(torch.randn(3, 16, 24))
    alone = [nn.Parameter(matrix.clone()) for matrix in stack.detach()]
    together = Muon([{"params": [stack], "matrices": "stack"}], lr=0.1)
    apart = Muon([{"params": alone, "matrices": "whole"}], lr=0.1)
    for _ in range(3):
        stack.grad = torch.randn_like(stack)
        for matrix, gradient in zip(alone, stack.grad, strict=True):
            matrix.grad = gradient.clone()
        together.step()
        apart.step()
    assert torch.allclose(stack, torch.stack(list(alone)), atol=1e-2)  # sums in another order, in bfloat16


def test_a_convolution_moves_as_the_matrix_of_all_its_moments() -> None:
    torch.manual_seed(0)
    kernel = nn.Parameter(torch.randn(16, 4, 7))
    matrix = nn.Parameter(kernel.detach().flatten(1).clone())
    optimizer = Muon([{"params": [kernel, matrix], "matrices": "whole"}], lr=0.1)
    kernel.grad = torch.randn_like(kernel)
    matrix.grad = kernel.grad.flatten(1).clone()
    optimizer.step()
    assert torch.equal(kernel.flatten(1), matrix)
    assert kind("decoder.0.conv.weight", kernel) == "whole"
    assert kind("dwconv.conv.weight", nn.Parameter(torch.randn(16, 1, 7))) is None


def test_what_is_no_hidden_matrix_is_left_to_adamw() -> None:
    ours, plain = Small(), Small()
    kinds = {name: kind(name, value) for name, value in ours.named_parameters()}
    assert {name: how for name, how in kinds.items() if how} == {"experts": "stack", "mixed.weight": "whole"}
    others = [value for name, value in ours.named_parameters() if not kinds[name]]
    ids = torch.arange(7)
    optimizers = (
        Muon(
            [
                {"params": others},
                {"params": [ours.experts], "matrices": "stack"},
                {"params": [ours.mixed.weight], "matrices": "whole"},
            ],
            lr=1e-2,
        ),
        torch.optim.AdamW(plain.parameters(), lr=1e-2),
    )
    for model, optimizer in zip((ours, plain), optimizers, strict=True):
        model(ids).square().sum().backward()
        optimizer.step()
    for name in ("embed.weight", "mixed.bias", "head.weight", "head.bias"):
        assert torch.equal(ours.get_parameter(name), plain.get_parameter(name)), name
    assert not torch.allclose(ours.experts, plain.experts)


@pytest.mark.parametrize("wrapped", [False, True])
def test_half_products_and_their_gradients_are_exact_ones_but_for_rounding(
    wrapped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if wrapped:  # as the thinker does on a CPU, with everybody's in its process
        monkeypatch.setattr(functional, "linear", alike(functional.linear))
    torch.manual_seed(0)
    layer, x = nn.Linear(24, 16), torch.randn(2, 5, 24)
    found = []
    for dtype, mode in ((torch.float64, nullcontext()), (torch.float32, HalfProducts())):
        ours, given = deepcopy(layer).to(dtype), x.to(dtype).requires_grad_()
        with mode:
            made = ours(given)
        made.square().sum().backward()
        found.append((made, given.grad, ours.weight.grad, ours.bias.grad))
    assert found[1][0].dtype == torch.float32
    for exact, half in zip(*found, strict=True):
        assert exact is not None
        assert half is not None
        assert 1e-4 < (exact - half).norm() / exact.norm() < 1e-2
    with torch.no_grad():
        plain = layer(x)
        with HalfProducts():  # what is measured is measured exactly
            assert torch.equal(layer(x), plain)
