"""`sgl-omni config`: what `sgl-omni serve` would go by, as a config file that says where each value comes from."""

from pathlib import Path
from typing import Any

import yaml

from sglang_omni.config import Resolved, Setting, sections


def page(resolved: Resolved) -> str:
    """A page that, given to `--config`, means the same."""
    settings = dict(resolved.settings)
    if resolved.thinker or resolved.sglang:
        from sglang_omni.entrypoints.sglang_args import told  # heavy

        settings |= told(resolved.thinker, resolved.sglang)[1]
    lines = []
    for section in ("", *sections()):
        indent, inside = "", {key: value for key, value in settings.items() if key.rpartition(".")[0] == section}
        if section and inside:
            lines += ["", f"{section}:"]
            indent = "  "
        lines += [_line(indent + key.rpartition(".")[2], setting) for key, setting in inside.items()]
    return "\n".join(lines) + "\n"


def _line(key: str, setting: Setting) -> str:
    return f"{f'{key}: {_text(setting.value)}':<50}  # {setting.origin}"


def _text(value: Any) -> str:
    if isinstance(value, Path):
        value = str(value)
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True)
    return text.removesuffix("...\n").rstrip("\n")
