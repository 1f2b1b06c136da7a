"""Loaded by schemathesis: what its requests ask for is little, so that a run is not spent on waiting."""

from typing import Any

import schemathesis

TOKENS = 4
LENGTHS = {
    "max_tokens",
    "max_completion_tokens",
    "max_new_tokens",
    "max_output_tokens",
    "talker_max_new_tokens",
}
DEFAULTS = {
    "/v1/chat/completions": {"max_tokens": TOKENS},
    "/v1/audio/speech": {"max_new_tokens": TOKENS},
    "/v1/audio/speech/batch": {"max_new_tokens": TOKENS},
    "/v1/audio/transcriptions": {"max_completion_tokens": TOKENS},
    "/v1/completions": {"max_tokens": TOKENS},
    "/v1/messages": {"max_tokens": TOKENS},
    "/v1/responses": {"max_output_tokens": TOKENS},
    "/generate": {"sampling_params": {"max_new_tokens": TOKENS}},
}


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    if isinstance(case.body, dict):
        case.body = {**DEFAULTS.get(case.path, {}), **_short(case.body)}


def _short(value: Any) -> Any:
    """`value` with every length of an answer and every number of answers cut."""
    if isinstance(value, list):
        return [_short(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: _cut(name, item) for name, item in value.items()}


def _cut(name: str, value: Any) -> Any:
    if name in LENGTHS or name in ("n", "best_of"):
        most = TOKENS if name in LENGTHS else 2
        if value is None and name in LENGTHS:
            return most
        return min(value, most) if isinstance(value, int) else value
    if name == "sampling_params" and isinstance(value, dict):
        return {"max_new_tokens": TOKENS, **_short(value)}
    return _short(value)
