"""The talker: text rows and the sound so far in, code 0 of the next frame out."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sglang_omni.layers.cache import Access
from sglang_omni.layers.company import store
from sglang_omni.layers.decoder import DecoderLayer
from sglang_omni.layers.linear import Embedding, Linear
from sglang_omni.layers.moe import SparseMoe
from sglang_omni.layers.norm import RmsNorm
from sglang_omni.layers.rope import Rope
from sglang_omni.models.qwen3_omni.code_predictor import CodePredictor
from sglang_omni.models.qwen3_omni.config import TalkerConfig, TalkerTextConfig

PROJECTED_AT_ONCE = 8192


class ResizeMlp(nn.Module):
    """From the thinker's width to the talker's. Follows Qwen3OmniMoeTalkerResizeMLP."""

    def __init__(self, thinker_hidden: int, intermediate: int, hidden: int):
        super().__init__()
        self.linear_fc1 = Linear(thinker_hidden, intermediate, bias=True)
        self.linear_fc2 = Linear(intermediate, hidden, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear_fc2(F.silu(self.linear_fc1(x)))


class TalkerModel(nn.Module):
    """Follows Qwen3OmniMoeTalkerModel."""

    def __init__(self, config: TalkerTextConfig):
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(config, SparseMoe(config)) for _ in range(config.num_hidden_layers))
        self.norm = RmsNorm(config.hidden_size, config.rms_norm_eps)
        self.codec_embedding = Embedding(config.vocab_size, config.hidden_size)

    def forward(self, x: Tensor, access: Access) -> Tensor:
        """(batch * time, hidden) -> the same, normed."""
        for layer in self.layers:
            x = layer(x, access)
        return self.norm(x)


class Talker(nn.Module):
    """Follows Qwen3OmniMoeTalkerForConditionalGeneration; parameters are the checkpoint's under `talker.`."""

    def __init__(self, config: TalkerConfig):
        super().__init__()
        text = config.text_config
        self.config = config
        self.model = TalkerModel(text)
        sizes = config.thinker_hidden_size, text.intermediate_size, text.hidden_size
        self.text_projection = ResizeMlp(*sizes)
        self.hidden_projection = ResizeMlp(*sizes)
        self.codec_head = Linear(text.hidden_size, text.vocab_size)
        self.code_predictor = CodePredictor(config.code_predictor_config)
        self.rope: Rope

    def prepare(self, slots: int, pages: int, rows: int) -> None:
        """Fuses the loaded weights and makes room for `slots` requests, in `pages` of `rows` rows."""
        for layer in self.model.layers:
            layer.prepare(pages, rows)
        self.model.norm.fuse()
        attention = self.model.layers[0].self_attn
        device = self.codec_head.weight.device
        self.rope = Rope(attention.head_dim, self.config.text_config.rope_parameters, device)
        self.code_predictor.prepare(slots)
        store(self)

    def project_vocabulary(self, embed_tokens: Tensor) -> Tensor:
        """The thinker's embedding table (vocabulary, thinker hidden) as the talker's: (vocabulary, hidden)."""
        return torch.cat([self.text_projection(part) for part in embed_tokens.split(PROJECTED_AT_ONCE)])
