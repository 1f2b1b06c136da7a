"""What transformers makes of a conversation, as far as the talker is told of it."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from tests.models.qwen3_omni.conversations import CONVERSATIONS, Conversation
from tests.reference import reference_generate, reference_inputs, reference_model, reference_positions


@dataclass(frozen=True)
class Expected:
    """prompt_ids (length,), positions (3, length), media_rows (media positions, hidden), and the answer's ids."""

    prompt_ids: Tensor
    positions: Tensor
    media_rows: Tensor
    answer: list[int]


@cache
def expected(model_path: Path, name: str) -> Expected:
    return expect(model_path, CONVERSATIONS[name])


def expect(model_path: Path, conversation: Conversation) -> Expected:
    model = reference_model(model_path)
    sounding = conversation.media.get("use_audio_in_video", False)
    inputs = reference_inputs(model_path, conversation.messages, **conversation.media)
    answer = reference_generate(
        model_path, inputs, audio=False, max_tokens=conversation.max_tokens, use_audio_in_video=sounding
    )
    config = model.config.thinker_config
    placeholders = [config.audio_token_id, config.image_token_id, config.video_token_id]
    media = torch.isin(answer.prompt_ids, torch.tensor(placeholders))
    rows = answer.hidden[: len(answer.prompt_ids)][media]
    return Expected(
        answer.prompt_ids, reference_positions(model_path, inputs, sounding), rows, answer.text_ids.tolist()
    )
