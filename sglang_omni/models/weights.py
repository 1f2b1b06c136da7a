"""Part of a safetensors checkpoint into a module: strictly, naming what is missing."""

import json
from pathlib import Path

import torch
from safetensors import safe_open

from sglang_omni.errors import CheckpointError
from sglang_omni.models.spec import StageOptions


def stage_dtype(options: StageOptions) -> torch.dtype | None:
    """What a stage computes in, None for its checkpoint's own. A CPU is faster in float32 than in halves of it."""
    if options.dtype != "auto":
        return getattr(torch, options.dtype)
    return torch.float32 if options.device == "cpu" else None


def tensor_files(model_path: Path, prefix: str) -> dict[str, list[str]]:
    """Shard file name -> tensor names that start with `prefix`."""
    index = model_path / "model.safetensors.index.json"
    if index.exists():
        files: dict[str, list[str]] = {}
        for name, file in json.loads(index.read_text())["weight_map"].items():
            if name.startswith(prefix):
                files.setdefault(file, []).append(name)
        return files
    single = model_path / "model.safetensors"
    if not single.exists():
        raise CheckpointError(f"{model_path} holds no safetensors weights")
    with safe_open(single, "pt") as tensors:
        return {single.name: [name for name in tensors.keys() if name.startswith(prefix)]}  # noqa: SIM118


def read_tensors(model_path: str | Path, prefix: str, device: str = "cpu") -> dict[str, torch.Tensor]:
    """The checkpoint's tensors whose names start with `prefix`, by the rest of their names."""
    path = Path(model_path)
    found = {}
    for file, names in tensor_files(path, prefix).items():
        with safe_open(path / file, "pt", device=device) as tensors:
            for name in names:
                found[name.removeprefix(prefix)] = tensors.get_tensor(name)
    return found


def load_module(
    module: torch.nn.Module,
    model_path: str | Path,
    prefix: str,
    device: str = "cpu",
    dtype: torch.dtype | None = None,
) -> None:
    """Fills `module`'s parameters from the tensors under `prefix` of a checkpoint with the same names.

    Raises CheckpointError naming the tensors that are missing or of another shape. Tensors that the module
    does not have are ignored: a checkpoint holds more than one stage needs.
    """
    tensors = read_tensors(model_path, prefix, device)
    parameters = dict(module.named_parameters())
    missing = [prefix + name for name in parameters if name not in tensors]
    if missing:
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise CheckpointError(f"the checkpoint at {model_path} lacks {shown}")
    for name, parameter in parameters.items():
        if parameter.shape != tensors[name].shape:
            raise CheckpointError(
                f"{prefix + name} has shape {tuple(tensors[name].shape)} in the checkpoint; "
                f"its config asks for {tuple(parameter.shape)}"
            )
        value = tensors[name].to(device=device, dtype=dtype or tensors[name].dtype)
        parameter.data = value.contiguous()
