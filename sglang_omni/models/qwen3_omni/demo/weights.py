"""Random weights that behave: text that wanders and ends, speech that stops once its text is spoken.

Every parameter is drawn from a generator of its own, seeded by its name, so a part of the model that is built
alone has the same weights as in the whole. Three things are then written by hand:

- The thinker prefers words to lone bytes and says no special token but the end of its turn.
- The talker counts. Three channels of its residual stream are kept free of random weights: FRAME marks the
  rows of spoken frames, ENDED those that were fed `tts_pad` because the text was over, and SHARE receives from
  one head of the first layer the share of ended frames among all frames. When that share passes a threshold,
  the end of speech becomes the likeliest code: about two frames per text token.
- The waveform has a comfortable level and no constant offset.
"""

import math
import zlib

import torch
from torch import nn
from transformers import Qwen3OmniMoeConfig, Qwen3OmniMoeForConditionalGeneration

from sglang_omni.models.qwen3_omni.demo.tokenizer import (
    DEMO_VOCABULARY,
    SPECIAL_TOKENS,
    WORD_START,
    learned_tokens,
)

FRAME, ENDED, SHARE = CHANNELS = [-1, -2, -3]
"""The talker's reserved channels."""

FLAG = -1
"""The channel of the thinker's embeddings that is zero but for `tts_pad` and the line break."""

NEWLINE = 198
"""The line break's id, in Qwen's vocabulary and in the demo's."""

GAINS = {
    "gate": 2.0,
    "o_proj": 1.5,
    "down_proj": 2.0,
    "lm_head": 3.0,
    "codec_head": 3.0,
    "linear_fc2": 1.5,
}
"""How much larger than 1 / sqrt(inputs) a layer's weights are, where that is not 1."""


@torch.no_grad()
def fill_weights(model: Qwen3OmniMoeForConditionalGeneration, seed: int = 0) -> None:
    """Sets every parameter, on whatever device and in whatever dtype the model is."""
    for name, parameter in model.named_parameters():
        generator = torch.Generator(parameter.device).manual_seed((seed << 32) + zlib.crc32(name.encode()))
        noise = torch.empty(parameter.shape, device=parameter.device).normal_(generator=generator)
        parameter.copy_(_scale(name, noise))
    _choose_words(model.thinker, model.config.im_end_token_id)
    _count_frames(model)
    _set_level(model.code2wav)


def _scale(name: str, noise: torch.Tensor) -> torch.Tensor:
    """A parameter's value, from standard normal noise of its shape."""
    parts = name.split(".")
    kind, layer = parts[-1], parts[-2]
    if kind == "bias":
        return 0.1 * noise
    if kind in ("alpha", "beta"):  # SnakeBeta keeps logarithms
        return 0.3 * noise
    if kind in ("scale", "gamma"):
        return 0.3 + 0.05 * noise
    if noise.ndim == 1:  # a norm; sharper attention than 1 would give
        return (1.5 if layer in ("q_norm", "k_norm") else 1.0) + 0.1 * noise
    if layer == "codec_embedding":
        return 0.5 * noise
    if "codec_embedding" in parts:  # the code predictor's: one per residual group, all summed
        return 0.25 * noise
    if layer in ("embed_tokens", "pos_embed", "code_embedding"):
        return noise
    return noise * GAINS.get(kind, GAINS.get(layer, 1.0)) / math.sqrt(_inputs(name, noise))


def _inputs(name: str, weight: torch.Tensor) -> int:
    """How many inputs are summed into one output of a linear layer or convolution."""
    if "experts" in name:  # (experts, out, in)
        return weight.shape[-1]
    if "code2wav.upsample" in name and "0.conv" in name:  # transposed: (in, out, time), stride = time
        return weight.shape[0]
    if "block.1.conv" in name:  # transposed: (in, out, time), stride = time / 2
        return 2 * weight.shape[0]
    return weight[0].numel()


def _choose_words(thinker: nn.Module, end: int) -> None:
    """Ids 0..93 are the printable ASCII bytes and 94..255 the others, in Qwen's vocabulary and in the demo's."""
    lm_head, embedding = thinker.lm_head.weight, thinker.model.embed_tokens.weight
    special = end - SPECIAL_TOKENS.index("<|im_end|>")
    words = torch.zeros(len(lm_head), device=lm_head.device)
    words[:94] = 0.6
    words[256:special] = 1
    if special == DEMO_VOCABULARY.ordinary:
        words[256:special] = 0.75
        words[[id for token, id in learned_tokens()[0].items() if token.startswith(WORD_START)]] = 1
    words[end] = 1.5
    lm_head *= words[:, None].to(lm_head)
    # The line break before an answer is the one token after which its end must not come.
    embedding[:, FLAG] = 0
    embedding[NEWLINE, FLAG] = 8
    lm_head[end, FLAG] = -3


def _count_frames(model: Qwen3OmniMoeForConditionalGeneration) -> None:
    thinker, talker, config = model.thinker.model, model.talker, model.config.talker_config
    for projection in (talker.text_projection, talker.hidden_projection):
        projection.linear_fc2.weight[CHANNELS] = 0
        projection.linear_fc2.bias[CHANNELS] = 0
    for embedding in (talker.model.codec_embedding, *talker.code_predictor.model.codec_embedding):
        embedding.weight[:, CHANNELS] = 0
    for layer in talker.model.layers:
        layer.self_attn.o_proj.weight[CHANNELS] = 0
        layer.mlp.shared_expert.down_proj.weight[CHANNELS] = 0
        layer.mlp.experts.down_proj[:, CHANNELS] = 0

    thinker.embed_tokens.weight[model.config.tts_pad_token_id, FLAG] = -4
    fc1, fc2 = talker.text_projection.linear_fc1, talker.text_projection.linear_fc2
    fc1.weight[0] = 0
    fc1.bias[0] = 0
    fc1.weight[0, FLAG] = -1
    fc2.weight[:, 0] = 0
    fc2.weight[ENDED, 0] = 1
    talker.model.codec_embedding.weight[: config.code_predictor_config.vocab_size, FRAME] = 4
    talker.model.codec_embedding.weight[config.codec_bos_id, FRAME] = 4

    # The head attends from frames to frames alone, all alike: query and key are FRAME, in the pair of channels
    # that rotary positions hardly turn.
    first, slowest = talker.model.layers[0], config.text_config.head_dim // 2 - 1
    attention = first.self_attn
    for projection, channel, row in (
        (attention.q_proj, FRAME, slowest),
        (attention.k_proj, FRAME, slowest),
        (attention.v_proj, ENDED, 0),
    ):
        if projection is not attention.v_proj:
            projection.weight[: config.text_config.head_dim] = 0
        projection.weight[row] = 0
        projection.weight[row, channel] = 1
    attention.o_proj.weight[SHARE, 0] = 1.66
    for norm in (first.input_layernorm, talker.model.norm):
        norm.weight[CHANNELS] = 1
    talker.codec_head.weight[config.codec_eos_token_id, CHANNELS] = torch.tensor([-63.0, 0.0, 140.0]).to(
        talker.codec_head.weight
    )


def _set_level(code2wav: nn.Module) -> None:
    """Scales the last convolution so that random codes sound at a tenth of full scale (root mean square)."""
    last = code2wav.decoder[-1].conv
    last.bias.zero_()
    last.weight -= last.weight.mean(-1, keepdim=True)
    last.weight /= 1000  # below the limits of the waveform
    frames = torch.arange(32 * code2wav.config.num_quantizers, device=last.weight.device)
    codes = (frames * 7919 % code2wav.config.codebook_size).view(1, code2wav.config.num_quantizers, 32)
    last.weight *= 0.1 / code2wav(codes).float().pow(2).mean().sqrt()
