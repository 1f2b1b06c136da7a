"""The text embeddings, which are drawn once and never trained: thinker and talker read them, and learn side by side."""

import torch
from torch import Tensor
from transformers import Qwen3OmniMoeConfig

SCALE = 0.3


def text_embeddings(config: Qwen3OmniMoeConfig) -> Tensor:
    """(vocabulary, thinker hidden), in bfloat16's values, as the checkpoint stores them."""
    text = config.thinker_config.text_config
    rows = torch.randn(text.vocab_size, text.hidden_size, generator=torch.Generator().manual_seed(0))
    return (SCALE * rows).bfloat16().float()
