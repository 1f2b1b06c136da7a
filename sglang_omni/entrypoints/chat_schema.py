"""What `/openapi.json` says of a chat's messages and answer, which no model of ours describes as they are checked."""

from typing import Any

from sglang_omni.entrypoints import messages


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {**required, **(optional or {})}, "required": list(required), **more}


def _either(*schemas: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": list(schemas)}


NULL = {"type": "null"}
TEXT = {"type": "string"}
COUNT = {"type": "integer", "minimum": 0}


CLOSED = {"additionalProperties": False}
SOURCE = {"type": "string", "description": "A local path, an HTTP(S) URL or a data URI"}
HINT = {"cache_control": {"description": "Says nothing here"}}
VALUES: dict[str, dict[str, Any]] = {
    "url": SOURCE,
    "detail": {"enum": [*messages.DETAILS]},
    "data": {"type": "string", "description": "In base64"},
    "format": {"enum": [*messages.AUDIO_FORMATS]},
}


def _part(kind: str, value: dict[str, Any]) -> dict[str, Any]:
    return _object({"type": {"const": kind}, kind: value}, HINT, **CLOSED)


def _medium(kind: str, fields: tuple[str, ...]) -> dict[str, Any]:
    required = fields if kind == "input_audio" else fields[:1]
    optional = {name: VALUES[name] for name in fields if name not in required}
    return _part(kind, _object({name: VALUES[name] for name in required}, optional, **CLOSED))


def _content(*parts: dict[str, Any]) -> dict[str, Any]:
    return _either(TEXT, {"type": "array", "items": _either(*parts)})


TEXT_PART = _part("text", TEXT)
CONTENT = _content(TEXT_PART, *(_medium(kind, fields) for kind, fields in messages.MEDIA.items()))
ANSWERED = _content(TEXT_PART, _part("refusal", TEXT))
UNHEARD: dict[str, Any] = {name: {} for name in sorted(messages.SAYS_NOTHING)}


def _roles(*names: str) -> dict[str, Any]:
    return {"enum": [role for role, name in messages.ROLES.items() if name in names]}


TOOL_CALL = _object(
    {"function": _object({"name": TEXT, "arguments": TEXT})}, {"id": TEXT, "type": {"const": "function"}}
)
ASSISTANT = _object(
    {"role": {"const": "assistant"}},
    {
        "content": _either(ANSWERED, NULL),
        "reasoning_content": _either(TEXT, NULL),
        "refusal": _either(TEXT, NULL),
        "tool_calls": _either({"type": "array", "items": TOOL_CALL}, NULL),
        "audio": _either(_object({"id": TEXT}, {"transcript": TEXT}), NULL),
        **UNHEARD,
    },
    description="An earlier answer; a spoken one as its transcript, or as the id of its audio while that is kept",
    **CLOSED,
)
TOOL = _object(
    {"role": _roles("tool"), "content": CONTENT},
    {"tool_call_id": TEXT, **UNHEARD},
    **CLOSED,
)
OTHERS = _object(
    {"role": _roles("system", "user"), "content": CONTENT},
    UNHEARD,
    **CLOSED,
)
MESSAGES = {
    "type": "array",
    "minItems": 1,
    "items": _either(OTHERS, ASSISTANT, TOOL),
    "description": "The conversation so far; media may also be in `images`, `audios` and `videos`",
}

AUDIO = _object(
    {
        "id": TEXT,
        "data": {"type": "string", "description": "In base64, in the format asked for"},
        "expires_at": {
            "type": "integer",
            "description": "Unix seconds; until then `messages` may name the answer by its id",
        },
        "transcript": TEXT,
    },
    description="With `audio` in `modalities`",
)
MESSAGE = _object(
    {"role": {"const": "assistant"}, "content": _either(TEXT, NULL)},
    {
        "reasoning_content": _either(TEXT, NULL),
        "tool_calls": _either({"type": "array", "items": TOOL_CALL}, NULL),
        "audio": AUDIO,
    },
)
CHOICE = _object(
    {
        "index": COUNT,
        "message": MESSAGE,
        "finish_reason": {"enum": ["stop", "length", "tool_calls", "content_filter", "function_call", "abort"]},
    },
    {"logprobs": _either({"type": "object"}, NULL)},
)
PROMPT_TOKENS = ("cached_tokens", "text_tokens", "audio_tokens", "image_tokens", "video_tokens")
COMPLETION_TOKENS = ("reasoning_tokens", "text_tokens", "audio_tokens")
USAGE = _object(
    {
        "prompt_tokens": COUNT,
        "completion_tokens": COUNT,
        "total_tokens": COUNT,
        "prompt_tokens_details": _object(dict.fromkeys(PROMPT_TOKENS, COUNT)),
        "completion_tokens_details": _object(dict.fromkeys(COMPLETION_TOKENS, COUNT)),
    }
)
ANSWER = _object(
    {
        "id": {"type": "string", "description": "As `X-Request-Id`"},
        "object": {"const": "chat.completion"},
        "created": {"type": "integer", "description": "Unix seconds"},
        "model": TEXT,
        "choices": {"type": "array", "items": CHOICE},
        "usage": USAGE,
    }
)
EVENTS = {
    "description": "With `stream`: `data: ` lines of JSON, each a `chat.completion.chunk` or an error, and `[DONE]`",
}
