"""The body of `POST /v1/chat/completions`: SGLang's request with the fields that media and speech need."""

import re
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, PrivateAttr
from sglang.srt.entrypoints.openai.protocol import ChatCompletionRequest

from sglang_omni.entrypoints.body import check
from sglang_omni.entrypoints.request_id import MAX_LENGTH, PRINTABLE, new_id
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
    TopK,
    TopP,
    VoiceId,
    given,
)
from sglang_omni.errors import InvalidRequest

WHOLE_FORMATS = ("wav", "mp3", "flac", "opus", "aac", "pcm16")
STREAM_FORMATS = ("pcm16", "wav")
MEDIA = {"images": "image_url", "audios": "audio_url", "videos": "video_url"}
PARTS = {"text": str, "image_url": dict, "audio_url": dict, "video_url": dict, "input_audio": dict}
TEMPLATE_NAMES = ("messages", "tools", "tokenize", "add_generation_prompt", "return_dict", "return_tensors")
ROLES = ("system", "developer", "user", "assistant", "tool", "function")

RequestId = Annotated[str, Field(min_length=1, max_length=MAX_LENGTH, pattern=f"^{PRINTABLE.pattern}$")]


class AudioOutput(Section):
    voice: str | VoiceId | None = None
    format: str | None = None


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
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None

    images: list[str] | None = None
    audios: list[str] | None = None
    videos: list[str] | None = None
    video_fps: Annotated[float, Field(gt=0)] | None = None
    video_max_frames: Count | None = None
    modalities: list[str] = Field(default=["text"])
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

    # Fields of OpenAI's and of gateways that say nothing about the answer.
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    service_tier: str | None = None
    prompt_cache_key: str | None = None
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


def parse_chat(body: dict[str, Any], called: str = "chatcmpl") -> ChatRequest:
    """A checked request with its media in its last user message, and its own id in `rid`.

    The id begins with the `request_id` in the body, or with what the request is `called` elsewhere.
    """
    _check_messages(body.get("messages"))
    _check_structured(body)
    for name in MEDIA:
        _check_media(name, body.get(name))
    request = check(ChatRequest, _with_media(body))
    _apply_thinker_sampling(request)
    _apply_video_options(request)
    _check_stop_regex(request.stop_regex)
    _check_modalities(request)
    _check_conflicts(request)
    request.rid = new_id(request.request_id or request.rid or called)
    return request


def _check_messages(messages: Any) -> None:
    if messages is None:
        raise InvalidRequest("messages is required", param="messages")
    if not isinstance(messages, list) or not messages:
        raise InvalidRequest("messages must be a list of at least one message", param="messages")
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        if not isinstance(message, dict):
            raise InvalidRequest(f"{where} must be an object", param=where)
        role = message.get("role")
        if role not in ROLES:
            raise InvalidRequest(f"{where}.role must be one of {', '.join(ROLES)}", param=f"{where}.role")
        _check_content(message.get("content"), role, f"{where}.content")
        if message.get("audio") is not None and not message.get("content"):
            raise InvalidRequest(
                f"{where}.audio: spoken answers are not kept here; send the transcript as content",
                param=f"{where}.audio",
            )


def _check_content(content: Any, role: str, where: str) -> None:
    if isinstance(content, str) or (content is None and role == "assistant"):
        return
    if not isinstance(content, list):
        raise InvalidRequest(f"{where} must be a string or a list of parts", param=where)
    for index, part in enumerate(content):
        part_where = f"{where}[{index}]"
        kind = part.get("type") if isinstance(part, dict) else None
        if not isinstance(kind, str):
            raise InvalidRequest(f"{part_where} must be an object with a type", param=part_where)
        if kind in PARTS and not isinstance(part.get(kind), PARTS[kind]):
            shape = "a string" if PARTS[kind] is str else "an object"
            raise InvalidRequest(f"{part_where}.{kind} must be {shape}", param=f"{part_where}.{kind}")
        if kind.endswith("_url") and kind in PARTS and not isinstance(part[kind].get("url"), str):
            raise InvalidRequest(f"{part_where}.{kind}.url must be a string", param=f"{part_where}.{kind}.url")
        if kind not in PARTS and role == "user":
            raise InvalidRequest(
                f"{part_where}.type {kind!r} is not one of {', '.join(PARTS)}", param=f"{part_where}.type"
            )


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


def _with_media(body: dict[str, Any]) -> dict[str, Any]:
    """`images`, `audios` and `videos` as parts of the last user message, before its text."""
    parts = [{"type": kind, kind: {"url": url}} for name, kind in MEDIA.items() for url in body.get(name) or ()]
    if not parts:
        return body
    messages = list(body["messages"])
    users = [index for index, message in enumerate(messages) if message["role"] == "user"]
    if not users:
        raise InvalidRequest("images, audios and videos need a user message to stand in", param="messages")
    last = messages[users[-1]]
    content = last["content"]
    text = [{"type": "text", "text": content}] if isinstance(content, str) else content
    messages[users[-1]] = {**last, "content": [*parts, *text]}
    return {**body, "messages": messages}


def _apply_thinker_sampling(request: ChatRequest) -> None:
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
        "use_audio_in_video": request.use_audio_in_video or None,
        "fps": request.video_fps,
        "max_frames": request.video_max_frames,
    }
    options = {name: value for name, value in asked.items() if value is not None}
    if options:
        request.mm_processor_kwargs = {**(request.mm_processor_kwargs or {}), **options}


def _check_stop_regex(given: str | list[str] | None) -> None:
    for pattern in [given] if isinstance(given, str) else given or ():
        try:
            re.compile(pattern)
        except re.error as error:
            raise InvalidRequest(
                f"stop_regex {pattern!r} is no regular expression: {error}", param="stop_regex"
            ) from None


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
    if request.tools:
        raise InvalidRequest("tools cannot be combined with an answer with audio", param="tools")
