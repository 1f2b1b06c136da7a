"""The code predictor: a frame's residual codes, one after another, from the talker's hidden state and code 0."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sglang_omni.layers.cache import Together
from sglang_omni.layers.company import law, padded
from sglang_omni.layers.decoder import DecoderLayer, GatedMlp, joined
from sglang_omni.layers.linear import Embedding, Linear
from sglang_omni.layers.norm import RmsNorm
from sglang_omni.layers.rope import Rope
from sglang_omni.models.qwen3_omni.config import CodePredictorConfig

Choose = Callable[[Tensor, int], Tensor]
"""(logits (batch, codebook), code group) -> codes (batch,)"""


class CodePredictorModel(nn.Module):
    def __init__(self, config: CodePredictorConfig):
        super().__init__()
        hidden = config.hidden_size
        self.layers = nn.ModuleList(
            DecoderLayer(config, GatedMlp(hidden, config.intermediate_size)) for _ in range(config.num_hidden_layers)
        )
        self.norm = RmsNorm(hidden, config.rms_norm_eps)
        self.codec_embedding = nn.ModuleList(
            Embedding(config.vocab_size, hidden) for _ in range(config.num_code_groups - 1)
        )


class CodePredictor(nn.Module):
    """Follows Qwen3OmniMoeTalkerCodePredictorModelForConditionalGeneration; its cache lasts for one frame."""

    def __init__(self, config: CodePredictorConfig):
        super().__init__()
        self.config = config
        self.model = CodePredictorModel(config)
        self.lm_head = nn.ModuleList(
            Linear(config.hidden_size, config.vocab_size) for _ in range(config.num_code_groups - 1)
        )

    def prepare(self, batch: int) -> None:
        """Fuses the loaded weights and makes room for `batch` rows."""
        groups = self.config.num_code_groups
        for layer in self.model.layers:
            layer.prepare(law().rows(batch), groups)
        self.model.norm.fuse()
        self.layers = list(self.model.layers)
        self.heads = [joined(head) for head in self.lm_head]
        self.embeddings = [embedding.weight.data for embedding in self.model.codec_embedding]
        weight = self.embeddings[0]
        rope = Rope(self.layers[0].self_attn.head_dim, self.config.rope_parameters, weight.device)
        first, *rest = torch.arange(groups, device=weight.device)[None].split([2] + [1] * (groups - 2), 1)
        self.rotations = [rope.at(positions, weight.dtype) for positions in (first, *rest)]

    def forward(self, hidden: Tensor, first: Tensor, choose: Choose) -> tuple[Tensor, Tensor]:
        """hidden and code 0's embedding (batch, hidden) -> residual codes (batch, groups - 1), sum of embeddings.

        The sum (batch, hidden) is over all code groups, code 0's included: what the talker hears of the frame.
        """
        batch, rows = len(first), len(padded(first))
        x = torch.stack((padded(hidden), padded(first)), 1).flatten(0, 1)
        codes, embeddings = [], [first]
        for step, rotation in enumerate(self.rotations):
            access = Together(rows, 0 if step == 0 else step + 1, rotation)
            for layer in self.layers:
                x = layer(x, access)
            if step == 0:
                x = x[1::2]
            code = choose(torch.mm(self.model.norm(x), self.heads[step])[:batch], step + 1)
            embedding = self.embeddings[step].index_select(0, code)
            codes.append(code)
            embeddings.append(embedding)
            x = padded(embedding)
        return torch.stack(codes, 1), torch.stack(embeddings).sum(0)
