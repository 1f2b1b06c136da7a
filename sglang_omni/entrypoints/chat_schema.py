"""What `/openapi.json` says of a chat's messages and answer, which no model of ours describes as they are checked."""

from typing import Any

from sglang_omni.entrypoints.messages import AUDIO_FORMATS, DETAILS, ROLES


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {**required, **(optional or {})}, "required": list(required), **more}


def _either(*schemas: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": list(schemas)}


NULL = {"type": "null"}
TEXT = {"type": "string"}
COUNT = {"type": "integer", "minimum": 0}


def _part(kind: str, value: dict[str, Any], description: str) -> dict[str, Any]:
    return _object({"type": {"const": kind}, kind: value}, description=description)


SOURCE = {"type": "string", "description": "A local path, an HTTP(S) URL or a data URI"}
URL = _object({"url": SOURCE}, additionalProperties=False)
PICTURE = _object({"url": SOURCE}, {"detail": _either({"enum": list(DETAILS)}, NULL)}, additionalProperties=False)
SOUND = _object(
    {"data": {"type": "string", "description": "In base64, or a data URI"}, "format": {"enum": list(AUDIO_FORMATS)}},
    additionalProperties=False,
)
PARTS = [
    _part("text", TEXT, "A text"),
    _part("image_url", PICTURE, "A picture"),
    _part("audio_url", URL, "A sound"),
    _part("video_url", URL, "A video"),
    _part("input_audio", SOUND, "A sound in the request itself"),
]
CONTENT = _either(TEXT, {"type": "array", "items": _either(*PARTS)})

TOOL_CALL = _object(
    {"function": _object({"name": TEXT, "arguments": TEXT})}, {"id": TEXT, "type": {"const": "function"}}
)
ASSISTANT = _object(
    {"role": {"const": "assistant"}},
    {
        "content": _either(CONTENT, NULL),
        "reasoning_content": _either(TEXT, NULL),
        "tool_calls": _either({"type": "array", "items": TOOL_CALL}, NULL),
        "refusal": _either(TEXT, NULL),
        "audio": _either(_object({"id": TEXT}), NULL),
    },
    description="An earlier answer; one that was spoken within the last hour may be named by its audio's id alone",
)
OTHERS = _object(
    {"role": {"enum": [role for role in ROLES if role != "assistant"]}, "content": CONTENT},
    {"name": _either(TEXT, NULL), "tool_call_id": _either(TEXT, NULL)},
)
MESSAGES = {
    "type": "array",
    "minItems": 1,
    "items": _either(OTHERS, ASSISTANT),
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
    "type": "string",
    "description": "With `stream`: `data: ` lines of JSON, each a `chat.completion.chunk` or an error, and `[DONE]`",
}
