"""The checkpoint to serve, found and looked over before anything heavy starts."""

from pathlib import Path

from sglang_omni.errors import CheckpointError
from sglang_omni.models.spec import ModelSpec

WANTED = ["*.json", "*.safetensors", "*.txt", "*.jinja", "*.model"]


def locate(model_path: str | None) -> Path:
    """A directory: ours for None, or what Hugging Face has under a model id, downloaded if need be."""
    if model_path is None:
        from sglang_omni.models.qwen3_omni.demo import default_model

        return default_model()
    if Path(model_path).is_dir():
        return Path(model_path)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model_path, allow_patterns=WANTED))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise CheckpointError(
            f"{model_path} is no directory, and no model that could be downloaded: {reason}"
        ) from None


def check_can_speak(path: Path, spec: ModelSpec) -> None:
    """Raises CheckpointError naming the stages whose tensors the checkpoint lacks."""
    from sglang_omni.models.weights import tensor_files  # imports torch

    lacking = [f"{stage.name}.*" for stage in spec.stages if not any(tensor_files(path, f"{stage.name}.").values())]
    if lacking:
        raise CheckpointError(
            f"{path} lacks the tensors {' and '.join(lacking)}, so it cannot speak; serve it with --text-only"
        )
