"""The code predictor: a frame's residual codes, one after another, from the talker's hidden state and code 0."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sglang_omni.layers.cache import Together
from sglang_omni.layers.decoder import DecoderLayer, GatedMlp
from sglang_omni.layers.rope import Rope, Rotation

Choose = Callable[[Tensor, int], Tensor]
"""(logits (batch, codebook), code group) -> codes (batch,)"""


class CodePredictorModel(nn.Module):
    def __init__(self, config: Any):
        super().__init__()
        hidden = config.hidden_size
        self.layers = nn.ModuleList(
            DecoderLayer(config, GatedMlp(hidden, config.intermediate_size)) for _ in range(config.num_hidden_layers)
        )
        self.norm = nn.RMSNorm(hidden, eps=config.rms_norm_eps)
        self.codec_embedding = nn.ModuleList(
            nn.Embedding(config.vocab_size, hidden) for _ in range(config.num_code_groups - 1)
        )


class CodePredictor(nn.Module):
    """Follows Qwen3OmniMoeTalkerCodePredictorModelForConditionalGeneration; its cache lasts for one frame."""

    def __init__(self, config: Any):
        super().__init__()
        self.config = config
        self.model = CodePredictorModel(config)
        self.lm_head = nn.ModuleList(
            nn.Linear(config.hidden_size, config.vocab_size, bias=False) for _ in range(config.num_code_groups - 1)
        )
        self.rotation: Rotation

    def prepare(self, batch: int) -> None:
        """Fuses the loaded weights and makes room for `batch` rows."""
        for layer in self.model.layers:
            layer.self_attn.fuse()
            layer.mlp.fuse()
            layer.self_attn.allocate(batch, self.config.num_code_groups)
        weight = self.model.norm.weight
        head_dim = self.model.layers[0].self_attn.head_dim
        rope = Rope(head_dim, self.config.rope_parameters, weight.device)
        positions = torch.arange(self.config.num_code_groups, device=weight.device)
        self.rotation = rope.at(positions[None], weight.dtype)

    def forward(self, hidden: Tensor, first: Tensor, choose: Choose) -> tuple[Tensor, Tensor]:
        """hidden and code 0's embedding (batch, hidden) -> residual codes (batch, groups - 1), sum of embeddings.

        The sum (batch, hidden) is over all code groups, code 0's included: what the talker hears of the frame.
        """
        batch = hidden.shape[0]
        x = torch.stack((hidden, first), 1).flatten(0, 1)
        codes, embeddings = [], [first]
        start = 0
        for group, (head, embedding) in enumerate(zip(self.lm_head, self.model.codec_embedding, strict=True)):
            end = group + 2
            rotation = Rotation(self.rotation.cos[:, start:end], self.rotation.sin[:, start:end])
            access = Together(batch, start, rotation, causal=start == 0)
            for layer in self.model.layers:
                x = layer(x, access)
            x = self.model.norm(x.view(batch, -1, x.shape[-1])[:, -1])
            code = choose(head(x), group + 1)
            x = F.embedding(code, embedding.weight)
            codes.append(code)
            embeddings.append(x)
            start = end
        return torch.stack(codes, 1), torch.stack(embeddings).sum(0)
