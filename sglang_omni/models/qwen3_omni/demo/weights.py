"""Random weights that behave: text that wanders and ends, speech that stops once its text is spoken.

Every parameter is drawn from a generator of its own, seeded by its name, so a part of the model that is built
alone has the same weights as in the whole. Then a few are written by hand, so that

- the thinker prefers words to lone bytes and says no special token but the end of its turn, which it does not
  say in the first dozen tokens: one attention head of its first layer sees how near the turn's start is;
- the talker counts: one head of its first layer averages, over the frames spoken so far, whether their text was
  over (they were fed `tts_pad`). When that share passes a threshold, the end of speech becomes the likeliest
  code: after about two frames per text token;
- the waveform has a comfortable level and no constant offset.

What such a head reads and writes lies in channels of the residual stream that random weights leave alone.
"""

import math
import zlib

import torch
from torch import nn
from transformers import Qwen3OmniMoeForConditionalGeneration

from sglang_omni.models.qwen3_omni.demo.tokenizer import (
    DEMO_VOCABULARY,
    SPECIAL_TOKENS,
    WORD_START,
    learned_tokens,
)

TTS_PAD, TURN, TOKEN, NEAR = THINKER_CHANNELS = [-1, -2, -3, -4]
"""In the thinker: this is `tts_pad`; the word `assistant`; any text token; near the start of the turn."""

FRAME, ENDED, SHARE = TALKER_CHANNELS = [-1, -2, -3]
"""In the talker: this is a spoken frame; its text was over; the share of such frames so far."""

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
        generator = torch.Generator(parameter.device).manual_seed(zlib.crc32(f"{seed} {name}".encode()))
        noise = torch.empty(parameter.shape, device=parameter.device).normal_(generator=generator)
        parameter.copy_(_scale(name, noise))
    _keep_channels(model)
    _choose_words(model)
    _end_the_turn(model)
    _end_the_speech(model)
    _set_level(model.code2wav)


def _scale(name: str, noise: torch.Tensor) -> torch.Tensor:
    """A parameter's value, from standard normal noise of its shape."""
    parts = name.split(".")
    kind, layer = parts[-1], parts[-2]
    if kind == "bias":
        return 0.1 * noise
    if kind in ("alpha", "beta"):  # SnakeBeta keeps logarithms; high frequencies would amplify rounding
        return 0.3 * noise - (0.7 if kind == "alpha" else 0.0)
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


def _keep_channels(model: Qwen3OmniMoeForConditionalGeneration) -> None:
    """Nothing but what is written below may write to the reserved channels."""
    thinker, talker = model.thinker, model.talker
    thinker.model.embed_tokens.weight[:, THINKER_CHANNELS] = 0
    for output in (thinker.visual.merger.mlp[2], thinker.audio_tower.proj2):
        output.weight[THINKER_CHANNELS] = 0
        output.bias[THINKER_CHANNELS] = 0
    for layer in thinker.model.layers:
        layer.self_attn.o_proj.weight[THINKER_CHANNELS] = 0
        layer.mlp.experts.down_proj[:, THINKER_CHANNELS] = 0
    for embedding in (talker.model.codec_embedding, *talker.code_predictor.model.codec_embedding):
        embedding.weight[:, TALKER_CHANNELS] = 0
    for projection in (talker.text_projection, talker.hidden_projection):
        projection.linear_fc2.weight[TALKER_CHANNELS] = 0
        projection.linear_fc2.bias[TALKER_CHANNELS] = 0
    for layer in talker.model.layers:
        layer.self_attn.o_proj.weight[TALKER_CHANNELS] = 0
        layer.mlp.experts.down_proj[:, TALKER_CHANNELS] = 0
        layer.mlp.shared_expert.down_proj.weight[TALKER_CHANNELS] = 0


def _point_first_head(attention: nn.Module, pair: int, query: int, key: int, value: int, output: int) -> None:
    """The first head attends from rows with channel `query` to rows with `key`, and writes their mean `value` to
    `output`. Query and key have equal length everywhere, as they are normalised, and lie in one of the pairs
    of channels that rotary positions turn: the higher the pair, the slower.
    """
    head = slice(attention.head_dim)
    for projection, row, channel in ((attention.q_proj, pair, query), (attention.k_proj, pair, key)):
        projection.weight[head] = 0
        projection.weight[row, channel] = 1
    attention.v_proj.weight[0] = 0
    attention.v_proj.weight[0, value] = 1
    attention.o_proj.weight[output, 0] = 1


def _choose_words(model: Qwen3OmniMoeForConditionalGeneration) -> None:
    """Ids 0..93 are the printable ASCII bytes and 94..255 the others, in Qwen's vocabulary and in the demo's."""
    lm_head, end = model.thinker.lm_head.weight, model.config.im_end_token_id
    first_special = end - SPECIAL_TOKENS.index("<|im_end|>")
    words = torch.zeros(len(lm_head), device=lm_head.device)
    words[:94] = 0.6
    words[256:first_special] = 1
    if first_special == DEMO_VOCABULARY.ordinary:  # whole words rather than their endings
        words[[id for token, id in learned_tokens()[0].items() if id >= 256 and token[0] != WORD_START]] = 0.75
    words[end] = 2.1
    lm_head *= words[:, None].to(lm_head)


def _end_the_turn(model: Qwen3OmniMoeForConditionalGeneration) -> None:
    thinker, end = model.thinker, model.config.im_end_token_id
    thinker.model.embed_tokens.weight[:, TOKEN] = 0.1
    thinker.model.embed_tokens.weight[model.config.assistant_token_id, TURN] = 8
    attention = thinker.model.layers[0].self_attn
    quarter_turn_in_20_tokens = 3 * attention.head_dim // 32
    _point_first_head(attention, quarter_turn_in_20_tokens, TOKEN, TURN, TURN, NEAR)
    thinker.lm_head.weight[:, THINKER_CHANNELS] = 0
    thinker.lm_head.weight[end, NEAR] = -8


def _end_the_speech(model: Qwen3OmniMoeForConditionalGeneration) -> None:
    talker, config = model.talker, model.config.talker_config
    # Text projections know `tts_pad`, and nothing else, by their first inner channel.
    model.thinker.model.embed_tokens.weight[model.config.tts_pad_token_id, TTS_PAD] = 4
    inner, outer = talker.text_projection.linear_fc1, talker.text_projection.linear_fc2
    inner.weight[0] = 0
    inner.bias[0] = 0
    inner.weight[0, TTS_PAD] = 1
    outer.weight[:, 0] = 0
    outer.weight[ENDED, 0] = 1
    embedding = talker.model.codec_embedding.weight
    embedding[: config.code_predictor_config.vocab_size, FRAME] = 4
    embedding[config.codec_bos_id, FRAME] = 4  # no end before the first frame
    first = talker.model.layers[0]
    slowest = first.self_attn.head_dim // 2 - 1
    _point_first_head(first.self_attn, slowest, FRAME, FRAME, ENDED, SHARE)
    for norm in (first.input_layernorm, talker.model.norm):
        norm.weight[TALKER_CHANNELS] = 1
    end = talker.codec_head.weight[config.codec_eos_token_id]
    end[SHARE], end[FRAME] = 240, -58


def _set_level(code2wav: nn.Module) -> None:
    """Scales the last convolution so that random codes sound at a tenth of full scale (root mean square)."""
    last = code2wav.decoder[-1].conv
    last.bias.zero_()
    last.weight -= last.weight.mean(-1, keepdim=True)
    last.weight /= 1000  # below the limits of the waveform
    frames = torch.arange(32 * code2wav.config.num_quantizers, device=last.weight.device)
    codes = (frames * 7919 % code2wav.config.codebook_size).view(1, code2wav.config.num_quantizers, 32)
    last.weight *= 0.1 / code2wav(codes).float().pow(2).mean().sqrt()
