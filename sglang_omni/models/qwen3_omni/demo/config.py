"""The config of a Qwen3-Omni of any size: same structure and same kinds of ids as the published checkpoint's."""

from dataclasses import dataclass, field

from transformers import Qwen3OmniMoeConfig

from sglang_omni.models.qwen3_omni.demo.tokenizer import (
    DEMO_VOCABULARY,
    PRODUCTION_VOCABULARY,
    TRAINED_VOCABULARY,
    Vocabulary,
)

VOICES = {"chelsie": 2301, "ethan": 2302, "aiden": 2303}


@dataclass(frozen=True)
class Stack:
    """A stack of transformer layers; `intermediate` is one expert's width where there are experts."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    experts: int = 0
    active_experts: int = 0


@dataclass(frozen=True)
class Size:
    """The numbers in which checkpoints of this family may differ."""

    thinker: Stack
    talker: Stack
    code_predictor: Stack
    vision: Stack
    audio: Stack
    code2wav: Stack
    audio_channels: int
    decoder_channels: int
    deepstack_layers: tuple[int, int, int]
    accept_layer: int
    codebook: int = 2048
    code_groups: int = 16
    decoder_window: int = 72
    """Frames that code2wav looks back."""

    dtype: str = "float32"
    vocabulary: Vocabulary = field(default=DEMO_VOCABULARY, repr=False)


SIZES = {
    "tiny": Size(
        thinker=Stack(32, 5, 2, 1, 32, 32, experts=4, active_experts=2),
        talker=Stack(32, 2, 2, 1, 32, 32, experts=4, active_experts=2),
        code_predictor=Stack(32, 2, 2, 1, 32, 32),
        vision=Stack(32, 3, 1, 1, 32, 32),
        audio=Stack(32, 1, 1, 1, 32, 32),
        code2wav=Stack(32, 1, 1, 1, 32, 32),
        audio_channels=4,
        decoder_channels=32,
        deepstack_layers=(0, 1, 2),
        accept_layer=4,
        codebook=64,
    ),
    "demo": Size(
        thinker=Stack(64, 6, 4, 2, 32, 32, experts=8, active_experts=2),
        talker=Stack(64, 4, 4, 2, 32, 32, experts=8, active_experts=2),
        code_predictor=Stack(64, 2, 4, 2, 32, 64),
        vision=Stack(32, 4, 1, 1, 32, 64),
        audio=Stack(64, 2, 2, 2, 32, 64),
        code2wav=Stack(32, 2, 1, 1, 32, 64),
        audio_channels=8,
        decoder_channels=64,
        deepstack_layers=(0, 1, 2),
        accept_layer=4,
    ),
    "middle": Size(
        thinker=Stack(256, 8, 8, 2, 32, 128, experts=16, active_experts=4),
        talker=Stack(256, 6, 8, 2, 32, 128, experts=16, active_experts=4),
        code_predictor=Stack(256, 4, 8, 4, 32, 512),
        vision=Stack(64, 4, 2, 2, 32, 128),
        audio=Stack(128, 2, 4, 4, 32, 256),
        code2wav=Stack(128, 4, 4, 4, 32, 256),
        audio_channels=16,
        decoder_channels=192,
        deepstack_layers=(0, 1, 2),
        accept_layer=4,
    ),
    "trained": Size(
        thinker=Stack(192, 5, 6, 2, 32, 192, experts=4, active_experts=2),
        talker=Stack(256, 5, 8, 2, 32, 128, experts=4, active_experts=2),
        code_predictor=Stack(256, 2, 8, 4, 32, 512),
        vision=Stack(96, 4, 3, 3, 32, 192),
        audio=Stack(192, 4, 6, 6, 32, 576),
        code2wav=Stack(192, 2, 6, 6, 32, 384),
        audio_channels=32,
        decoder_channels=192,
        deepstack_layers=(0, 1, 2),
        accept_layer=4,
        codebook=128,
        code_groups=6,
        decoder_window=24,
        vocabulary=TRAINED_VOCABULARY,
    ),
    "real": Size(
        thinker=Stack(2048, 48, 32, 4, 128, 768, experts=128, active_experts=8),
        talker=Stack(1024, 20, 16, 2, 128, 384, experts=128, active_experts=6),
        code_predictor=Stack(1024, 5, 16, 8, 128, 3072),
        vision=Stack(1152, 27, 16, 16, 72, 4304),
        audio=Stack(1280, 32, 20, 20, 64, 5120),
        code2wav=Stack(1024, 8, 16, 16, 64, 3072),
        audio_channels=480,
        decoder_channels=1536,
        deepstack_layers=(8, 16, 24),
        accept_layer=24,
        dtype="bfloat16",
        vocabulary=PRODUCTION_VOCABULARY,
    ),
}


def demo_config(size: str = "demo") -> Qwen3OmniMoeConfig:
    """The config of one of `SIZES`; `real` is Qwen3-Omni-30B-A3B's, production token ids included."""
    s, ids = SIZES[size], SIZES[size].vocabulary
    media = {
        "audio_token_id": ids["<|audio_pad|>"],
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
        "audio_start_token_id": ids["<|audio_start|>"],
        "audio_end_token_id": ids["<|audio_end|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
        "position_id_per_seconds": 13,
        "seconds_per_chunk": 2,
    }
    config = Qwen3OmniMoeConfig(
        architectures=["Qwen3OmniMoeForConditionalGeneration"],
        thinker_config={
            "text_config": _text(s.thinker) | {"vocab_size": ids.size, "intermediate_size": s.thinker.intermediate},
            "vision_config": _vision(s),
            "audio_config": _audio(s),
            "user_token_id": ids["user"],
            "tie_word_embeddings": False,
            **media,
        },
        talker_config={
            "text_config": _text(s.talker)
            | {
                "vocab_size": s.codebook + 1024,
                "intermediate_size": 2 * s.talker.hidden,
                "shared_expert_intermediate_size": 2 * s.talker.intermediate,
            },
            "code_predictor_config": _code_predictor(s),
            "thinker_hidden_size": s.thinker.hidden,
            "accept_hidden_layer": s.accept_layer,
            "num_code_groups": s.code_groups,
            "spatial_merge_size": 2,
            "tie_word_embeddings": False,
            **_codec_ids(s.codebook),
            **media,
        },
        code2wav_config=_code2wav(s),
        enable_audio_output=True,
        tie_word_embeddings=False,
        im_start_token_id=ids["<|im_start|>"],
        im_end_token_id=ids["<|im_end|>"],
        tts_pad_token_id=ids["<tts_pad>"],
        tts_bos_token_id=ids["<tts_text_bos>"],
        tts_eos_token_id=ids["<tts_text_eod>"],
        system_token_id=ids["system"],
        user_token_id=ids["user"],
        assistant_token_id=ids["assistant"],
        dtype=s.dtype,
    )
    return config


def _codec_ids(codebook: int) -> dict:
    """The talker's special ids: all within the last 1,024, which it never says, except the end of speech."""
    shift = codebook - 2048
    ids = {
        "codec_pad_id": 2148,
        "codec_bos_id": 2149,
        "codec_eos_token_id": 2150,
        "codec_nothink_id": 2155,
        "codec_think_bos_id": 2156,
        "codec_think_eos_id": 2157,
    }
    return {name: id + shift for name, id in ids.items()} | {
        "speaker_id": {voice: id + shift for voice, id in VOICES.items()}
    }


def _attention(stack: Stack) -> dict:
    return {
        "hidden_size": stack.hidden,
        "num_hidden_layers": stack.layers,
        "num_attention_heads": stack.heads,
        "num_key_value_heads": stack.kv_heads,
        "head_dim": stack.head_dim,
        "tie_word_embeddings": False,
    }


def _text(stack: Stack) -> dict:
    """A decoder with experts and three-dimensional rotary positions."""
    pairs = stack.head_dim // 2
    sides = pairs * 5 // 16
    return _attention(stack) | {
        "moe_intermediate_size": stack.intermediate,
        "num_experts": stack.experts,
        "num_experts_per_tok": stack.active_experts,
        "norm_topk_prob": True,
        "max_position_embeddings": 65536,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 1_000_000.0,
            "mrope_section": [pairs - 2 * sides, sides, sides],
            "mrope_interleaved": True,
            "interleaved": True,
        },
    }


def _code_predictor(s: Size) -> dict:
    return _attention(s.code_predictor) | {
        "intermediate_size": s.code_predictor.intermediate,
        "vocab_size": s.codebook,
        "num_code_groups": s.code_groups,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1_000_000.0},
    }


def _vision(s: Size) -> dict:
    return {
        "depth": s.vision.layers,
        "hidden_size": s.vision.hidden,
        "num_heads": s.vision.heads,
        "intermediate_size": s.vision.intermediate,
        "out_hidden_size": s.thinker.hidden,
        "deepstack_visual_indexes": list(s.deepstack_layers),
        "patch_size": 16,
        "temporal_patch_size": 2,
        "spatial_merge_size": 2,
        "num_position_embeddings": 2304,
    }


def _audio(s: Size) -> dict:
    return {
        "d_model": s.audio.hidden,
        "encoder_layers": s.audio.layers,
        "encoder_attention_heads": s.audio.heads,
        "encoder_ffn_dim": s.audio.intermediate,
        "output_dim": s.thinker.hidden,
        "downsample_hidden_size": s.audio_channels,
        "n_window": 50,
        "n_window_infer": 800,
    }


def _code2wav(s: Size) -> dict:
    return {
        "hidden_size": s.code2wav.hidden,
        "num_hidden_layers": s.code2wav.layers,
        "num_attention_heads": s.code2wav.heads,
        "num_key_value_heads": s.code2wav.kv_heads,
        "intermediate_size": s.code2wav.intermediate,
        "decoder_dim": s.decoder_channels,
        "codebook_size": s.codebook,
        "num_quantizers": s.code_groups,
        "upsample_rates": [8, 5, 4, 3],
        "upsampling_ratios": [2, 2],
        "sliding_window": s.decoder_window,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
    }
