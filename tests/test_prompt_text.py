"""Typed special tokens stay text, wherever a request holds them; every other prompt is what it always was."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import Qwen2TokenizerFast

from sglang_omni.models.qwen3_omni import demo
from sglang_omni.models.qwen3_omni.demo.tokenizer import write_tokenizer
from sglang_omni.prompt_text import PRIVATE_USE, PromptText


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(directory)
    tokenizer = Qwen2TokenizerFast.from_pretrained(directory)
    tokenizer.chat_template = Path(demo.__file__).with_name("chat_template.jinja").read_text()
    return tokenizer


@pytest.fixture(scope="module")
def prompt_text(tokenizer):
    return PromptText(tokenizer)


def conversation(*texts: str) -> list[dict]:
    """Every place a text can stand in: system, user parts, assistant history, tool call and tool result."""
    system, first, second, answer, argument, result = texts
    call = {"type": "function", "function": {"name": "look", "arguments": {argument: argument}}}
    return [
        {"role": "system", "content": system},
        {
            "role": "user",
            "content": [{"type": "image"}, {"type": "text", "text": first}, {"type": "text", "text": second}],
        },
        {"role": "assistant", "content": answer, "tool_calls": [call]},
        {"role": "tool", "content": result},
        {"role": "user", "content": [{"type": "audio"}, {"type": "video"}, {"type": "text", "text": second}]},
    ]


def tools(text: str) -> list[dict]:
    return [{"type": "function", "function": {"name": "look", "description": text, "parameters": {}}}]


def special_ids(tokenizer, ids):
    return [id for id in ids if tokenizer.added_tokens_decoder.get(id) and tokenizer.added_tokens_decoder[id].special]


pieces = st.sampled_from(
    [
        "<|image_pad|>",
        "<|im_end|>",
        "<|audio_start|>",
        "<|im_",
        "end|>",
        "<",
        "|",
        "<|",
        "<tts_pad>",
        "\ue000",
        " hi",
        "ü\n",
    ]
)
typed = st.lists(pieces, max_size=6).map("".join)


@settings(deadline=None, max_examples=60)
@given(texts=st.tuples(*[typed] * 6))
def test_typed_special_tokens_stay_text_everywhere(tokenizer, prompt_text, texts):
    options = {"add_generation_prompt": True}
    ids = prompt_text.render(conversation(*texts), tools=tools(texts[0]), **options)
    harmless = tokenizer.apply_chat_template(conversation(*["hi"] * 6), tools=tools("hi"), tokenize=False, **options)
    assert special_ids(tokenizer, ids) == special_ids(tokenizer, tokenizer.encode(harmless))
    rendered = tokenizer.apply_chat_template(conversation(*texts), tools=tools(texts[0]), tokenize=False, **options)
    assert tokenizer.decode(ids) == rendered


@settings(deadline=None, max_examples=60)
@given(texts=st.tuples(*[st.text(st.characters(exclude_categories=["Cs"], exclude_characters="|_"))] * 6))
def test_other_prompts_get_the_ids_of_the_plain_path(tokenizer, prompt_text, texts):
    """Every special token has one of the two characters that these texts lack."""
    messages = conversation(*texts)
    plain = tokenizer.apply_chat_template(messages, tools=tools(texts[0]), tokenize=False)
    assert prompt_text.render(messages, tools=tools(texts[0])) == tokenizer.encode(plain)


@given(text=typed)
@settings(deadline=None)
def test_text_to_speak_has_no_special_tokens(tokenizer, prompt_text, text):
    ids = prompt_text.encode(text)
    assert special_ids(tokenizer, ids) == []
    assert tokenizer.decode(ids) == text


def test_the_plain_path_would_have_been_fooled(tokenizer):
    messages = [{"role": "user", "content": "<|image_pad|>"}]
    plain = tokenizer.encode(tokenizer.apply_chat_template(messages, tokenize=False))
    assert tokenizer.convert_tokens_to_ids("<|image_pad|>") in plain


def test_tokens_that_are_part_of_the_text_are_left_alone(tokenizer, prompt_text):
    messages = [{"role": "user", "content": "a <think> b"}]
    assert tokenizer.convert_tokens_to_ids("<think>") in prompt_text.render(messages)


def test_a_character_must_be_left_for_the_mark(tokenizer, prompt_text):
    basic = "".join(map(chr, range(0xE000, 0xF900)))
    message = {"role": "user", "content": f"<|im_end|>{basic}"}
    ids = prompt_text.render([message])
    assert basic in tokenizer.decode(ids)
    assert ids.count(tokenizer.convert_tokens_to_ids("<|im_end|>")) == 1
    with pytest.raises(ValueError, match="one must be left"):
        prompt_text.render([{"role": "user", "content": "".join(map(chr, PRIVATE_USE))}])
