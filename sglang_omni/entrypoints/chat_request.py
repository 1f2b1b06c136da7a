"""The body of `POST /v1/chat/completions`: SGLang's request with the fields that media and speech need."""

import re
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, PrivateAttr
from sglang.srt.entrypoints.openai.protocol import ChatCompletionRequest

from sglang_omni.entrypoints.body import check, without_nulls
from sglang_omni.entrypoints.messages import read_messages
from sglang_omni.entrypoints.request_id import MAX_LENGTH, PRINTABLE, new_id
from sglang_omni.entrypoints.spoken import SpokenAnswers
from sglang_omni.entrypoints.stages import (
    Count,
    Penalty,
    RepetitionPenalty,
    Section,
    Seed,
    SpeechOptions,
    StageParams,
    StageSampling,
    Stop,
    Temperature,
    Tokens,
    TopK,
    TopP,
    VoiceId,
    given,
    told,
)
from sglang_omni.errors import InvalidRequest

WHOLE_FORMATS = ("wav", "mp3", "flac", "opus", "aac", "pcm16")
STREAM_FORMATS = ("pcm16", "wav")
MEDIA = {"images": "image_url", "audios": "audio_url", "videos": "video_url"}
TEMPLATE_NAMES = {
    *("self", "conversation", "messages", "tools"),  # by position
    *("tokenize", "add_generation_prompt", "return_dict", "return_tensors"),
}
DATA = frozenset(("parameters", "schema", "metadata", "custom_params", "chat_template_kwargs"))
"""Fields of a request in which null is a value."""
UNTRIMMED = "(?:)"
"""Ends our stop patterns: SGLang looks for a pattern's own letters in the text, and would cut there."""

Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Bias = Annotated[float, Field(ge=-100, le=100)]
TokenId = Annotated[int, Field(ge=0, lt=2**31)]
RequestId = Annotated[str, Field(min_length=1, max_length=MAX_LENGTH, pattern=f"^{PRINTABLE.pattern}$")]


class AudioOutput(Section):
    voice: str | VoiceId | None = None
    format: Annotated[str, told(*WHOLE_FORMATS)] | None = None


class StreamOptions(Section):
    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None
    include_obfuscation: Literal[False] | None = None


class VideoReading(Section):
    use_audio_in_video: bool | None = None
    fps: Rate | None = None
    max_frames: Count | None = None


class ChatRequest(ChatCompletionRequest):
    """SGLang's fields, strictly typed and in OpenAI's ranges, and ours.

    `speech` is filled in by `OmniServingChat` when `modalities` has audio.
    """

    model_config = ConfigDict(strict=True)

    model: str | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    top_k: TopK | None = None
    min_p: TopP | None = None
    repetition_penalty: RepetitionPenalty | None = None
    frequency_penalty: Penalty = 0.0
    presence_penalty: Penalty = 0.0
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    n: Annotated[int, Field(ge=1, le=128)] = 1
    seed: Seed | None = None
    stop: Stop | None = None
    stop_token_ids: list[TokenId] | None = None
    min_tokens: Tokens = 0
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    logit_bias: dict[Annotated[str, Field(pattern="^[0-9]{1,9}$")], Bias] | None = None
    input_ids: list[TokenId] | None = None
    stream_options: StreamOptions | None = None  # type: ignore[assignment]
    video_config: VideoReading | None = None  # type: ignore[assignment]
    mm_processor_kwargs: VideoReading | None = None  # type: ignore[assignment]

    images: list[str] | None = None
    audios: list[str] | None = None
    videos: list[str] | None = None
    video_fps: Rate | None = None
    video_max_frames: Count | None = None
    modalities: list[Annotated[str, told("text", "audio")]] = Field(default=["text"])
    audio: AudioOutput | None = None
    stage_sampling: StageSampling | None = None
    stage_params: StageParams | None = None
    talker_temperature: Temperature | None = None
    talker_top_p: TopP | None = None
    talker_top_k: TopK | None = None
    talker_repetition_penalty: RepetitionPenalty | None = None
    talker_max_new_tokens: Count | None = None
    request_id: RequestId | None = None
    rid: Annotated[str, Field(max_length=MAX_LENGTH, pattern=f"^({PRINTABLE.pattern})?$")] = ""  # SGLang's name for it

    # What becomes of these and of SGLang's is written in `fields`.
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    service_tier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    safety_identifier: str | None = None
    reasoning: dict[str, Any] | None = None

    _audios: list[NDArray[np.float32]] | None = PrivateAttr(default=None)  # decoded, instead of what messages name
    _speech: SpeechOptions | None = PrivateAttr(default=None)
    _format: str = PrivateAttr(default="wav")
    _usage_in_own_chunk: bool = PrivateAttr(default=False)

    @property
    def speaks(self) -> bool:
        return "audio" in self.modalities

    @property
    def text_in(self) -> Literal["content", "transcript"]:
        """Where streamed text goes: once, beside the sound or as its transcript."""
        return "content" if "text" in self.modalities else "transcript"


def parse_chat(body: dict[str, Any], called: str = "chatcmpl", spoken: SpokenAnswers | None = None) -> ChatRequest:
    """A checked request with its media in its last user message, and its own id in `rid`.

    The id begins with the `request_id` in the body, or with what the request is `called` elsewhere. Messages may name
    the `spoken` answers by their ids.
    """
    body = without_nulls(body, DATA)
    _check_structured(body)
    for name in MEDIA:
        _check_media(name, body.get(name))
    body["messages"] = _with_media(read_messages(body.get("messages"), spoken), body)
    request = check(ChatRequest, body)
    _apply_video_options(request)
    _apply_stop_regex(request)
    _check_modalities(request)
    _check_conflicts(request)
    request.rid = new_id(request.request_id or request.rid or called)
    return request


def _check_structured(body: dict[str, Any]) -> None:
    """SGLang reads into these before it checks them."""
    for name, kind in (("response_format", dict), ("tools", list), ("chat_template_kwargs", dict)):
        if name in body and not isinstance(body[name], kind):
            what = "an object" if kind is dict else "a list"
            raise InvalidRequest(f"{name} must be {what}", param=name)
    for name in body.get("chat_template_kwargs", ()):
        if name in TEMPLATE_NAMES:
            raise InvalidRequest(
                f"chat_template_kwargs cannot have {name}, which the server sets", param="chat_template_kwargs"
            )


def _check_media(name: str, items: Any) -> None:
    if items is not None and not (isinstance(items, list) and all(isinstance(item, str) for item in items)):
        raise InvalidRequest(f"{name} must be a list of paths, URLs or data URIs", param=name)


def _with_media(messages: list[dict[str, Any]], body: dict[str, Any]) -> list[dict[str, Any]]:
    """`images`, `audios` and `videos` as parts of the last user message, before its text."""
    parts = [{"type": kind, kind: {"url": url}} for name, kind in MEDIA.items() for url in body.get(name) or ()]
    if not parts:
        return messages
    users = [index for index, message in enumerate(messages) if message["role"] == "user"]
    if not users:
        raise InvalidRequest("images, audios and videos need a user message to stand in", param="messages")
    last = messages[users[-1]]
    content = last["content"]
    text = [{"type": "text", "text": content}] if isinstance(content, str) else content
    messages[users[-1]] = {**last, "content": [*parts, *text]}
    return messages


def apply_thinker_sampling(request: ChatRequest) -> None:
    """`stage_sampling.thinker` wins over the request's own fields, of which the talker too has been told."""
    thinker = given(request.stage_sampling.thinker) if request.stage_sampling else {}
    if "max_tokens" in thinker:
        request.max_tokens = request.max_completion_tokens = thinker.pop("max_tokens")
    for name, value in thinker.items():
        setattr(request, name, value)
    if request.top_p == 0:
        request.top_p, request.top_k = 1.0, 1  # only the most likely token is left; SGLang refuses 0
    if request.top_k == 0:
        request.top_k = -1


def _apply_video_options(request: ChatRequest) -> None:
    """Where SGLang passes them on to our media processor for every one of `n` choices."""
    asked = {
        **given(request.video_config),
        **given(request.mm_processor_kwargs),
        "use_audio_in_video": request.use_audio_in_video or None,
        "fps": request.video_fps,
        "max_frames": request.video_max_frames,
    }
    request.video_config = None
    request.mm_processor_kwargs = {name: value for name, value in asked.items() if value is not None} or None  # type: ignore[assignment]


def _apply_stop_regex(request: ChatRequest) -> None:
    asked = request.stop_regex
    patterns = [asked] if isinstance(asked, str) else asked or []
    for pattern in patterns:
        try:
            re.compile(pattern)
        except (re.error, RecursionError, OverflowError) as error:
            raise InvalidRequest(
                f"stop_regex {pattern!r} is no regular expression: {error}", param="stop_regex"
            ) from None
    request.stop_regex = [pattern + UNTRIMMED for pattern in patterns] or None


def _check_modalities(request: ChatRequest) -> None:
    for modality in request.modalities:
        if modality not in ("text", "audio"):
            raise InvalidRequest(f"modality {modality!r} is not one of text, audio", param="modalities")
    if not request.modalities:
        raise InvalidRequest("modalities must name text, audio or both", param="modalities")


def _check_conflicts(request: ChatRequest) -> None:
    if request.top_logprobs is not None and not request.logprobs:
        raise InvalidRequest("top_logprobs acts only with logprobs: true", param="top_logprobs")
    if request.stream_options is not None and not request.stream:
        raise InvalidRequest("stream_options acts only with stream: true", param="stream_options")
    if request.custom_params and request.custom_logit_processor is None:
        raise InvalidRequest("custom_params acts only with custom_logit_processor", param="custom_params")
    if request.input_ids is not None and any(_has_media(message) for message in request.messages):
        raise InvalidRequest("input_ids cannot be combined with pictures, sounds or videos", param="input_ids")
    if not request.speaks:
        sampling = request.stage_sampling
        for name in (
            "audio",
            "stage_params",
            *(field for field in ChatRequest.model_fields if field.startswith("talker_")),
        ):
            if getattr(request, name) is not None:
                raise InvalidRequest(f'{name} acts only with "audio" in modalities', param=name)
        if sampling and (sampling.talker or sampling.code_predictor):
            raise InvalidRequest(
                'stage_sampling of talker and code_predictor acts only with "audio" in modalities',
                param="stage_sampling",
            )
        return
    if request.n != 1:
        raise InvalidRequest("n must be 1 for an answer with audio", param="n")
    if request.tools and request.tool_choice != "none":
        raise InvalidRequest("tools cannot be combined with an answer with audio", param="tools")
    if request.continue_final_message:
        raise InvalidRequest(
            "continue_final_message cannot be combined with an answer with audio, which would say the words that are "
            "there already",
            param="continue_final_message",
        )


def _has_media(message: Any) -> bool:
    return isinstance(message.content, list) and any(part.type != "text" for part in message.content)
