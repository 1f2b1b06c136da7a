import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from sglang_omni.errors import CheckpointError
from sglang_omni.models.weights import load_module, read_tensors


def layer() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    """The layer's weights under `part.`, and something that belongs to others."""
    own = {f"part.{name}": torch.randn_like(value) for name, value in layer().state_dict().items()}
    return {**own, "part.spare": torch.zeros(1), "partner.0.weight": torch.zeros(9)}


def write(path: Path, tensors: dict[str, torch.Tensor], shards: int = 1) -> Path:
    if shards == 1:
        save_file(tensors, path / "model.safetensors")
        return path
    weight_map = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        part = dict(list(tensors.items())[shard::shards])
        save_file(part, path / file)
        weight_map |= dict.fromkeys(part, file)
    (path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return path


@pytest.mark.parametrize("shards", [1, 3])
def test_a_module_gets_its_part_of_the_checkpoint(tmp_path: Path, tensors: dict, shards: int) -> None:
    module = layer()
    load_module(module, write(tmp_path, tensors, shards), "part.")
    for name, value in module.state_dict().items():
        assert torch.equal(value, tensors[f"part.{name}"])


@pytest.mark.parametrize("shards", [1, 3])
def test_tensors_of_a_prefix_go_by_the_rest_of_their_names(tmp_path: Path, tensors: dict, shards: int) -> None:
    found = read_tensors(write(tmp_path, tensors, shards), "part.")
    assert set(found) == {"0.weight", "0.bias", "1.weight", "1.bias", "spare"}


def test_the_dtype_is_the_checkpoints_or_what_was_asked_for(tmp_path: Path, tensors: dict) -> None:
    write(tmp_path, {name: value.bfloat16() for name, value in tensors.items()})
    module = layer()
    load_module(module, tmp_path, "part.")
    assert {parameter.dtype for parameter in module.parameters()} == {torch.bfloat16}
    load_module(module, tmp_path, "part.", dtype=torch.float64)
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float64}


@pytest.mark.parametrize("shards", [1, 3])
def test_missing_tensors_are_named(tmp_path: Path, tensors: dict, shards: int) -> None:
    del tensors["part.0.bias"], tensors["part.1.weight"]
    with pytest.raises(CheckpointError, match=r"lacks part\.0\.bias, part\.1\.weight$"):
        load_module(layer(), write(tmp_path, tensors, shards), "part.")


def test_of_many_missing_tensors_the_first_are_named(tmp_path: Path, tensors: dict) -> None:
    module = nn.Sequential(*(nn.Linear(3, 2) for _ in range(4)))
    with pytest.raises(CheckpointError, match=r"lacks other\.0\.weight, .* and 3 more$"):
        load_module(module, write(tmp_path, tensors), "other.")


def test_a_tensor_of_another_shape_is_named(tmp_path: Path, tensors: dict) -> None:
    tensors["part.0.weight"] = torch.zeros(3, 2)
    with pytest.raises(CheckpointError, match=r"part\.0\.weight has shape \(3, 2\) .* asks for \(2, 3\)"):
        load_module(layer(), write(tmp_path, tensors), "part.")


def test_a_directory_without_weights_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no safetensors weights"):
        load_module(layer(), tmp_path, "part.")
