"""What would end SGLang's engine, or end in a 500, is refused first, in a sentence."""

import asyncio
import re
from types import SimpleNamespace
from typing import Any

import pytest
from sglang.srt.managers.io_struct import GenerateReqInput
from sglang.srt.managers.tokenizer_manager import TokenizerManager

from sglang_omni.entrypoints.account import Account
from sglang_omni.entrypoints.engine_request import ClientError, check_request
from sglang_omni.entrypoints.errors import without_paths
from sglang_omni.entrypoints.tokenizer_manager import OmniTokenizerManager
from sglang_omni.errors import MediaError

TWO = {"text": ["a", "b"]}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"sampling_params": {"n": 2, "stop": ["x"], "stop_token_ids": {1}, "temperature": 0, "logit_bias": {"5": 1}}},
        {"sampling_params": {"max_new_tokens": None, "custom_params": {"a": {"b": 1}, "c": [1, "x"]}}},
        {"session_params": {"id": "x", "offset": 3}},
        {**TWO, "sampling_params": [{}, {"top_k": 3}], "return_logprob": [True, False]},
        {"text": None, "input_ids": [1, 2]},
        {"text": None, "input_ids": [[1], [2]]},
        {"rid": "a"},
    ],
    ids=str,
)
def test_good_requests_pass_unchanged(fields: dict[str, Any]) -> None:
    request, same = (GenerateReqInput(**{"text": "a", **fields}) for _ in range(2))
    check_request(request)
    assert request == same


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sampling_params": {"n": 0}}, "n: Input should be greater"),
        ({"sampling_params": {"n": "2"}}, "n: Input should be a valid integer"),
        ({"sampling_params": {"max_new_tokens": 2**40}}, "max_new_tokens: "),
        ({"sampling_params": {"stop_regex": "["}}, "stop_regex '\\[' is no regular expression"),
        ({"sampling_params": {"stop_regex": "a{1000000000000}"}}, "is no regular expression"),
        ({"sampling_params": {"stop_token_ids": [2**70]}}, "stop_token_ids"),
        ({"sampling_params": {"logit_bias": {"x": 1}}}, "logit_bias"),
        ({"sampling_params": {"custom_params": {"a": {"b": {"c": 1}}}}}, "custom_params"),
        ({"sampling_params": {"custom_params": 5}}, "custom_params"),
        ({"sampling_params": {"stop_strs": 5}}, "stop_strs: Extra inputs"),
        ({"sampling_params": {"beam_width": 2}}, "beam_width"),
        ({"session_params": {"x": 1}}, "x: Extra inputs"),
        ({"sampling_params": [{}]}, "sampling_params cannot be a list"),
        ({"rid": ["a"]}, "rid cannot be a list"),
        ({"rid": "a\nb"}, "rid must be printable"),
        ({"priority": 2**63}, "priority must be a number of 64 bits"),
        ({"logprob_start_len": [1]}, "logprob_start_len cannot be a list"),
        ({"encoder_urls": ["x"]}, "set by the server"),
        ({"positional_embed_overrides": {"a": 1}}, "Python API"),
        ({**TWO, "sampling_params": [{}]}, "do not fit its prompts"),
        ({**TWO, "sampling_params": []}, "do not fit its prompts"),
        ({**TWO, "top_logprobs_num": [1]}, "do not fit its prompts"),
        ({**TWO, "rid": ["a"]}, "length mismatch"),
        ({"text": None, "input_ids": []}, "input_ids cannot be empty"),
        ({"text": None, "input_embeds": []}, "do not fit its prompts"),
        ({"text": None}, "Either text"),
    ],
    ids=str,
)
def test_bad_requests_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientError, match=message):
        check_request(GenerateReqInput(**{"text": "a", **fields}))


def run(manager: OmniTokenizerManager, *requests: GenerateReqInput, http: Any = None) -> None:
    async def all_answers() -> None:
        for request in requests:
            async for _ in manager.generate_request(request, http):
                pass

    asyncio.run(all_answers())


@pytest.mark.parametrize("raised", [MediaError("images[0]: no such file", param="images[0]"), ValueError("too long")])
def test_a_clients_mistake_is_one_for_our_code_and_sglangs(raised: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: Any) -> Any:
        raise raised
        yield

    monkeypatch.setattr(TokenizerManager, "generate_request", fails)
    manager = OmniTokenizerManager.__new__(OmniTokenizerManager)
    with pytest.raises(ClientError, match=re.escape(str(raised))) as caught:
        run(manager, GenerateReqInput(text="a"))
    assert isinstance(caught.value, ValueError)
    assert (caught.value.status, caught.value.param) == (400, getattr(raised, "param", None))


def test_what_a_client_does_not_name_runs_under_the_requests_id(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    async def answers(_: Any, request: GenerateReqInput, __: Any) -> Any:
        seen.append(request.rid)
        yield {}

    monkeypatch.setattr(TokenizerManager, "generate_request", answers)
    manager = OmniTokenizerManager.__new__(OmniTokenizerManager)
    http: Any = SimpleNamespace(state=SimpleNamespace(request_id="mine-1", account=Account({})))
    run(manager, *(GenerateReqInput(text="a", rid=rid) for rid in ("own", None, None)), http=http)
    assert seen == ["own", "mine-1", None]  # SGLang names the second by itself: an id runs once


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("[14:41:37] /project/cpp/grammar.cc:1207: Check failed", "[14:41:37] Check failed"),
        ('in File "/usr/lib/python3/x.py", line 3', 'in File "", line 3'),
        ("images[0]: no such file", "images[0]: no such file"),
        ("ask /v1/chat/completions for audio", "ask /v1/chat/completions for audio"),
    ],
)
def test_no_message_tells_where_our_files_are(message: str, told: str) -> None:
    assert without_paths(message).replace('""', '"",').replace(",,", ",") == told
