import torch

from sglang_omni.layers.activation import SnakeBeta


@torch.inference_mode()
def test_snake_beta_is_its_formula_frozen_or_not() -> None:
    snake = SnakeBeta(3)
    snake.alpha.copy_(torch.tensor([-1.0, 0.0, 0.5]))
    snake.beta.copy_(torch.tensor([0.5, -1.0, 0.0]))
    x = torch.randn(2, 3, 50)
    alpha, beta = snake.alpha[:, None], snake.beta[:, None]
    expected = x + torch.sin(x * alpha.exp()) ** 2 / beta.exp()
    torch.testing.assert_close(snake(x), expected)
    snake.freeze()
    torch.testing.assert_close(snake(x), expected)
