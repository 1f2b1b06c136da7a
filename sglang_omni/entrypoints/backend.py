"""Entry point `sglang.serve_backends`: `sglang serve MODEL` finds us by itself, `--model-type omni` forces us."""

import json
import sys
from pathlib import Path

from sglang.cli.serve_backends import SERVE_BACKEND_API_VERSION, ServeBackend, ServeBackendDetection, ServeRequest

from sglang_omni.entrypoints.cli import serve
from sglang_omni.models import families


def _run(request: ServeRequest) -> None:
    code = serve(request.argv, "sglang serve --model-type omni")
    if code:
        sys.exit(code)


def _detect(request: ServeRequest) -> ServeBackendDetection:
    if request.model_path is None:
        return ServeBackendDetection.UNKNOWN
    try:
        config = json.loads(_config_file(request.model_path).read_text())
    except (OSError, ValueError):  # no such model, no network: SGLang goes on without us
        return ServeBackendDetection.UNKNOWN
    known = set(config.get("architectures") or ()) & set(families())
    return ServeBackendDetection.MATCH if known else ServeBackendDetection.NO_MATCH


def _config_file(model_path: str) -> Path:
    if Path(model_path).is_dir():
        return Path(model_path) / "config.json"
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(model_path, "config.json"))


def backend() -> ServeBackend:
    return ServeBackend(SERVE_BACKEND_API_VERSION, run=_run, detect=_detect, requires_model_path=False)
