"""Checks of what SGLang's engine is asked for, where its own come late: in a 500, or in the end of its process.

They see every request, also those that SGLang's serving classes made of a body they had checked.
"""

import copy
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from pydantic import Field, ValidationError
from sglang.srt.managers.io_struct import GenerateReqInput, PositionalEmbeds
from sglang.srt.sampling.sampling_params import CustomParamValue

from sglang_omni.entrypoints.errors import describe
from sglang_omni.entrypoints.request_id import PRINTABLE
from sglang_omni.entrypoints.stages import Penalty, RepetitionPenalty, Section, Seed, TopP
from sglang_omni.errors import InvalidRequest

INT32 = 2**31 - 1
Size = Annotated[int, Field(ge=0, le=INT32)]
TokenId = Size
TokenIdText = Annotated[str, Field(pattern=r"^\d{1,9}$")]
Bias = Annotated[float, Field(allow_inf_nan=False)]


class SamplingParams(Section):
    """How SGLang chooses tokens."""

    max_new_tokens: Size | None = None
    min_new_tokens: Size | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    stop: str | list[str] | None = None
    stop_token_ids: list[TokenId] | set[TokenId] | None = None
    stop_regex: str | list[str] | None = None
    no_stop_trim: bool | None = None
    temperature: Annotated[float, Field(ge=0)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1, le=INT32)] | None = None
    min_p: TopP | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    repetition_penalty: RepetitionPenalty | None = None
    sampling_seed: Seed | None = None
    logit_bias: dict[TokenIdText, Bias] | None = None
    ignore_eos: bool | None = None
    skip_special_tokens: bool | None = None
    spaces_between_special_tokens: bool | None = None
    stream_interval: Annotated[int, Field(ge=1, le=INT32)] | None = None
    json_schema: str | None = None
    regex: str | None = None
    ebnf: str | None = None
    structural_tag: str | None = None
    beam_width: Annotated[int, Field(ge=1, le=1)] | None = None
    custom_params: dict[str, CustomParamValue] | None = None
    watermark: Any = None


class SessionParams(Section):
    id: str | None = None
    rid: str | None = None
    offset: Annotated[int, Field(ge=0, le=INT32)] | None = None
    replace: bool | None = None
    drop_previous_output: bool | None = None


SET_BY_THE_SERVER = ("http_worker_ipc", "lora_id", "encoder_urls", "need_wait_for_mm_inputs", "num_items_assigned")


NO_LISTS = (
    "rid",
    "sampling_params",
    "return_logprob",
    "logprob_start_len",
    "top_logprobs_num",
    "return_sampling_mask",
    "sampling_logprobs_mode",
    "return_hidden_states",
    "lora_path",
    "custom_logit_processor",
)
"""Of a request with one prompt."""


class ClientError(InvalidRequest, ValueError):
    """An InvalidRequest, for SGLang's serving code, which answers 400 to a ValueError."""


@contextmanager
def clients_fault() -> Iterator[None]:
    """What fails in the block because of what the client asked for is raised as a ClientError."""
    try:
        yield
    except ClientError:
        raise
    except ValidationError as error:
        message, param = describe(error.errors())
        raise ClientError(message, param=param) from None
    except InvalidRequest as error:
        raise ClientError(str(error), param=error.param) from error
    except ValueError as error:
        raise ClientError(str(error)) from error


def check_request(request: GenerateReqInput) -> None:
    """Raises ClientError for what does not fit together, before anything starts."""
    for name in SET_BY_THE_SERVER:
        if getattr(request, name) is not None:
            raise ClientError(f"{name} is set by the server alone", param=name)
    if not isinstance(request.positional_embed_overrides, PositionalEmbeds | list | None):
        raise ClientError("positional_embed_overrides is for SGLang's Python API alone")
    params = request.sampling_params
    with clients_fault():
        for each in params if isinstance(params, list) else [params or {}]:
            SamplingParams.model_validate(each)
            check_patterns(each.get("stop_regex"))
        SessionParams.model_validate(request.session_params or {})
    for rid in request.rid if isinstance(request.rid, list) else [request.rid or ""]:
        if not re.fullmatch(rf"({PRINTABLE.pattern})?", rid):
            raise ClientError("rid must be printable ASCII characters without spaces", param="rid")
    if not (request.priority is None or -(2**63) <= request.priority < 2**63):
        raise ClientError("priority must be a number of 64 bits", param="priority")
    _check_shape(copy.copy(request))


def _check_shape(trial: GenerateReqInput) -> None:
    """SGLang reads the lists of a batch before it looks at their lengths and kinds."""
    try:
        trial.normalize_batch_and_arguments()
        if not trial.is_single:
            for index in range(trial.batch_size):
                trial[index]
    except ValueError as error:
        raise ClientError(str(error)) from None
    except (TypeError, IndexError, AttributeError, KeyError):
        raise ClientError("the lists in the request do not fit its prompts") from None
    for name in NO_LISTS if trial.is_single else ():
        if isinstance(getattr(trial, name), list):
            raise ClientError(f"{name} cannot be a list for a single prompt", param=name)


def check_patterns(given: str | list[str] | None) -> None:
    """Of `stop_regex`."""
    for pattern in [given] if isinstance(given, str) else given or ():
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            raise ClientError(f"stop_regex {pattern!r} is no regular expression: {error}", param="stop_regex") from None
