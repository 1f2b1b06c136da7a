"""Conversations of every kind, as the reference sees them and as the talker's stage is told of them."""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from transformers import BatchFeature

from sglang_omni.models.qwen3_omni.prompt import media_mask
from tests.reference import Answer, reference_generate, reference_inputs, reference_model, reference_positions

NOISE = np.random.default_rng(0)
SOUND = NOISE.normal(scale=0.1, size=16_000).astype(np.float32)
PICTURE = Image.fromarray(NOISE.integers(0, 255, (96, 64, 3), dtype=np.uint8))
VIDEO = NOISE.integers(0, 255, (4, 64, 96, 3), dtype=np.uint8)


def said(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def by(role: str, *parts: dict[str, str] | str) -> dict[str, Any]:
    shown = [said(part) if part not in ("image", "audio", "video") else {"type": part} for part in parts]
    return {"role": role, "content": shown}


@dataclass(frozen=True)
class Conversation:
    messages: list[dict[str, Any]]
    media: dict[str, Any] = field(default_factory=dict)
    max_tokens: int = 8


CONVERSATIONS = {
    "short": Conversation([by("user", "Hello")], max_tokens=3),
    "long answer": Conversation([by("user", "Tell me about the sea, the sky and the stars.")], max_tokens=24),
    "turns": Conversation(
        [
            by("system", "You are brief."),
            by("user", "What is the time?"),
            by("assistant", "Noon, or a little later."),
            by("user", "And now?"),
        ]
    ),
    "picture": Conversation([by("user", "image", "What is this?")], {"images": [PICTURE]}),
    "sound": Conversation([by("user", "Listen:", "audio")], {"audio": [SOUND]}),
    "video": Conversation([by("user", "video", "Who is this?")], {"videos": [VIDEO]}),
    "turns with media": Conversation(
        [
            by("system", "You see."),
            by("user", "image", "What is this?"),
            by("assistant", "A picture of noise."),
            by("user", "And this?", "video", "audio"),
        ],
        {"images": [PICTURE], "videos": [VIDEO], "audio": [SOUND[:8000]]},
    ),
    "video with sound": Conversation(
        [by("user", "video", "What is said?"), by("assistant", "Nothing."), by("user", "Really?")],
        {"videos": [VIDEO], "audio": [SOUND], "use_audio_in_video": True},
    ),
    "picture after a video with sound": Conversation(
        [by("user", "video", "image", "Which is louder?", "video", "Well?")],
        {
            "videos": [VIDEO, VIDEO],
            "audio": [SOUND, SOUND[:12000]],
            "images": [PICTURE],
            "use_audio_in_video": True,
        },
    ),
}


@dataclass(frozen=True)
class Told:
    """What the talker's stage is told: `params` without `speech`, then `tokens`. `inputs` are the reference's."""

    inputs: BatchFeature
    params: dict[str, Any]
    tokens: list[int]
    answer: Answer


@cache
def told(model_path: Path, name: str) -> Told:
    """The reference's greedy answer to one of CONVERSATIONS.

    transformers never speaks the last token of an answer, so it is not told here unless it is an end.
    """
    conversation = CONVERSATIONS[name]
    sounding = conversation.media.get("use_audio_in_video", False)
    inputs = reference_inputs(model_path, conversation.messages, **conversation.media)
    answer = reference_generate(
        model_path, inputs, max_tokens=conversation.max_tokens, max_frames=200, use_audio_in_video=sounding
    )
    model = reference_model(model_path)
    tokens = answer.text_ids.tolist()
    length = len(answer.prompt_ids)
    params = {
        "prompt_ids": answer.prompt_ids,
        "positions": reference_positions(model_path, inputs, sounding),
        "media_rows": answer.hidden[:length][media_mask(model.config, answer.prompt_ids)],
    }
    return Told(inputs, params, tokens if tokens[-1] == model.config.im_end_token_id else tokens[:-1], answer)
