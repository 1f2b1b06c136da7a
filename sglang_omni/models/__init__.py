"""Architecture -> family. A family is a folder with a `SPEC`; other packages add theirs by entry point."""

import json
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

from sglang_omni.errors import CheckpointError
from sglang_omni.models.spec import ModelSpec

_FAMILIES = {"Qwen3OmniMoeForConditionalGeneration": "sglang_omni.models.qwen3_omni"}


def families() -> dict[str, ModelSpec]:
    """Every known family by architecture: ours, and those of the entry-point group `sglang_omni.models`."""
    known = {architecture: import_module(module).SPEC for architecture, module in _FAMILIES.items()}
    for entry in entry_points(group="sglang_omni.models"):
        spec = entry.load()
        known[spec.architecture] = spec
    return known


def spec_of(model_path: str | Path) -> ModelSpec:
    """The family of a local checkpoint. Raises CheckpointError if there is none or we do not know it."""
    try:
        config = json.loads((Path(model_path) / "config.json").read_text())
    except FileNotFoundError:
        raise CheckpointError(f"{model_path} holds no config.json: is it a model directory?") from None
    known = families()
    for architecture in config.get("architectures") or []:
        if architecture in known:
            return known[architecture]
    raise CheckpointError(
        f"{model_path} is a {' '.join(config.get('architectures') or ['model of no named architecture'])}; "
        f"known: {', '.join(known)}"
    )
