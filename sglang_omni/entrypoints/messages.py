"""The conversation of a chat request: every message and part is one that the model reads, or is refused by name."""

import json
from typing import Any, NoReturn

from sglang_omni.entrypoints.spoken import SpokenAnswers
from sglang_omni.errors import InvalidRequest

ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
"""OpenAI's roles, and what chat templates call them."""

MEDIA = {
    "image_url": ("url", "detail"),
    "audio_url": ("url",),
    "video_url": ("url",),
    "input_audio": ("data", "format"),
}
"""Kind of part -> its fields."""

TEXT = ("text", "refusal")
"""Kinds of parts with a text, in a field of the same name."""

AUDIO_FORMATS = ("wav", "mp3", "flac", "ogg", "opus", "aac", "m4a", "webm")
DETAILS = ("auto", "low", "high")

FIELDS = {"role", "content"}
SAYS_NOTHING = {"name", "cache_control", "annotations"}
"""Names of speakers are nothing that chat templates show; the others are for services that this is none of."""
ROLE_FIELDS = {
    "assistant": {"tool_calls", "audio", "refusal", "reasoning_content"},
    "tool": {"tool_call_id"},
}


def refuse(where: str, why: str) -> NoReturn:
    raise InvalidRequest(f"{where} {why}", param=where)


def read_messages(messages: Any, spoken: SpokenAnswers | None) -> list[dict[str, Any]]:
    """`messages` as SGLang takes them: an earlier spoken answer as its words, sounds as URLs.

    Raises InvalidRequest.
    """
    if messages is None:
        raise InvalidRequest("messages is required", param="messages")
    if not isinstance(messages, list) or not messages:
        refuse("messages", "must be a list of at least one message")
    return [_message(message, f"messages[{index}]", spoken) for index, message in enumerate(messages)]


def _message(message: Any, where: str, spoken: SpokenAnswers | None) -> dict[str, Any]:
    if not isinstance(message, dict):
        refuse(where, "must be an object")
    role = message.get("role")
    if not isinstance(role, str) or role not in ROLES:
        refuse(f"{where}.role", f"must be one of {', '.join(ROLES)}")
    role = ROLES[role]
    fields = FIELDS | ROLE_FIELDS.get(role, set())
    for name in message.keys() - fields - SAYS_NOTHING:
        refuse(f"{where}.{name}", f"does not act in a message of role {role!r}; there are {', '.join(sorted(fields))}")
    result = {name: value for name, value in message.items() if name in fields}
    result["role"] = role
    result["content"] = _content(message.get("content"), role, f"{where}.content")
    if role == "assistant":
        _read_answer(result, where, spoken)
    return result


def _content(content: Any, role: str, where: str) -> str | list[dict[str, Any]] | None:
    if isinstance(content, str) or (content is None and role == "assistant"):
        return content
    if not isinstance(content, list):
        refuse(where, "must be a string or a list of parts")
    return [_part(part, role, f"{where}[{index}]") for index, part in enumerate(content)]


def _part(part: Any, role: str, where: str) -> dict[str, Any]:
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(kind, str):
        refuse(where, "must be an object with a type")
    kinds = TEXT if role == "assistant" else ("text", *MEDIA)
    if kind not in kinds:
        refuse(f"{where}.type", f"{kind!r} is not one of {', '.join(kinds)}")
    for name in part.keys() - {"type", "cache_control", kind}:
        refuse(f"{where}.{name}", f"does not act in a part of type {kind!r}")
    value = part.get(kind)
    if kind in TEXT:
        if not isinstance(value, str):
            refuse(f"{where}.{kind}", "must be a string")
        return {"type": "text", "text": value}
    if not isinstance(value, dict):
        refuse(f"{where}.{kind}", "must be an object")
    return _medium(kind, value, f"{where}.{kind}")


def _medium(kind: str, value: dict[str, Any], where: str) -> dict[str, Any]:
    for name in value.keys() - set(MEDIA[kind]):
        hint = "; send video_fps or video_max_frames" if kind == "video_url" and name in ("fps", "max_frames") else ""
        refuse(f"{where}.{name}", f"does not act: there are {', '.join(MEDIA[kind])}{hint}")
    source = MEDIA[kind][0]
    if not isinstance(value.get(source), str):
        refuse(f"{where}.{source}", "must be a string")
    if value.get("detail", "auto") not in DETAILS:
        refuse(f"{where}.detail", f"must be one of {', '.join(DETAILS)}")
    if kind != "input_audio":
        return {"type": kind, kind: value}
    format, data = value.get("format"), value["data"]
    if format not in AUDIO_FORMATS:
        refuse(f"{where}.format", f"must be one of {', '.join(AUDIO_FORMATS)}")
    url = data if data.startswith("data:") else f"data:audio/{format};base64,{data}"
    return {"type": "audio_url", "audio_url": {"url": url}}


def _read_answer(message: dict[str, Any], where: str, spoken: SpokenAnswers | None) -> None:
    """An earlier answer: its content, or else the words of its sound or of its refusal."""
    audio, refusal = message.pop("audio", None), message.pop("refusal", None)
    if audio is not None and not isinstance(audio, dict):
        refuse(f"{where}.audio", "must be an object with the id of an earlier answer's sound")
    if refusal is not None and not isinstance(refusal, str):
        refuse(f"{where}.refusal", "must be a string")
    if not message["content"]:
        message["content"] = refusal if audio is None else _transcript(audio, f"{where}.audio", spoken)
    calls = message.get("tool_calls")
    for index, call in enumerate(calls if isinstance(calls, list) else ()):
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict) and isinstance(function.get("arguments"), str):
            _check_arguments(function, f"{where}.tool_calls[{index}].function.arguments")


def _transcript(audio: dict[str, Any], where: str, spoken: SpokenAnswers | None) -> str:
    given = audio.get("transcript")
    if isinstance(given, str):
        return given
    id = audio.get("id")
    if not isinstance(id, str):
        refuse(f"{where}.id", "must be the id of an earlier answer's sound")
    transcript = spoken.transcript(id) if spoken else None
    if transcript is None:
        refuse(f"{where}.id", f"{id!r} is unknown or has expired; send what was said as the message's content")
    return transcript


def _check_arguments(function: dict[str, Any], where: str) -> None:
    try:
        arguments = json.loads(function["arguments"] or "{}")
    except (json.JSONDecodeError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        refuse(where, "must be a JSON object, as a string")
    function["arguments"] = function["arguments"] or "{}"
