"""What the talker hears of a conversation, and where."""

from pathlib import Path

import pytest
import torch

from sglang_omni.models.qwen3_omni.demo import demo_config
from sglang_omni.models.qwen3_omni.prompt import HEAD, input_ids, talker_prompt, user_mask
from tests.models.qwen3_omni.conversations import CONVERSATIONS, told
from tests.reference import reference_model

CONFIG = demo_config("tiny")
START, END, NEWLINE = CONFIG.im_start_token_id, CONFIG.im_end_token_id, 9
USER, ASSISTANT, SYSTEM = CONFIG.user_token_id, CONFIG.assistant_token_id, CONFIG.system_token_id


def turn(role: int, *ids: int) -> list[int]:
    return [START, role, NEWLINE, *ids, END, NEWLINE]


def prompt_of(*ids: int):
    length = torch.arange(len(ids)).expand(3, -1)
    return talker_prompt(CONFIG, torch.tensor(ids), length, torch.empty(0, CONFIG.talker_config.thinker_hidden_size))


def test_only_the_users_turns_and_the_answers_head_are_heard() -> None:
    first, second = turn(USER, 20, 21), turn(USER, 30)
    ids = [*turn(SYSTEM, 10, 11), *first, *turn(ASSISTANT, 25), *second, START, ASSISTANT, NEWLINE]
    prompt = prompt_of(*ids)
    assert prompt.answer == []
    pad, bos = CONFIG.tts_pad_token_id, CONFIG.tts_bos_token_id
    head = [START, ASSISTANT, NEWLINE, pad, pad, pad, pad, bos, 77]
    assert input_ids(CONFIG, prompt, 77).tolist() == [*first, *second, *head]
    torch.testing.assert_close(prompt.positions, torch.arange(prompt.length).expand(3, -1))


def test_an_answer_can_start_in_the_prompt() -> None:
    assert prompt_of(*turn(USER, 20), START, ASSISTANT, NEWLINE, 40, 41).answer == [40, 41]


def test_a_prompt_without_a_user_is_only_the_head() -> None:
    assert prompt_of(START, ASSISTANT, NEWLINE).length == HEAD


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_positions_are_the_references(tiny_model: Path, name: str) -> None:
    conversation = told(tiny_model, name)
    model = reference_model(tiny_model)
    params, inputs = conversation.params, conversation.inputs
    heard = params["prompt_ids"][user_mask(model.config, params["prompt_ids"])]
    ids = torch.cat((heard, torch.full((HEAD,), model.config.tts_pad_token_id)))[None]
    lengths = inputs["feature_attention_mask"].sum(1) if "feature_attention_mask" in inputs else None
    expected, _ = model.talker.get_rope_index(
        ids,
        inputs.get("image_grid_thw"),
        inputs.get("video_grid_thw"),
        torch.ones_like(ids),
        audio_seqlens=lengths,
        second_per_grids=inputs.get("video_second_per_grid"),
    )
    prompt = talker_prompt(model.config, params["prompt_ids"], params["positions"], params["media_rows"])
    torch.testing.assert_close(prompt.positions, expected[:, 0].long())


def test_media_rows_must_match_the_prompt() -> None:
    with pytest.raises(ValueError, match="0 media rows for 1 media positions"):
        prompt_of(*turn(USER, CONFIG.thinker_config.image_token_id), START, ASSISTANT, NEWLINE)
