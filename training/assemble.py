"""The parts as one checkpoint, which transformers and the server load like the published one."""

import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import Qwen3OmniMoeConfig, Qwen3OmniMoeForConditionalGeneration

from sglang_omni.models.qwen3_omni.demo import demo_config, write_companions
from training import shipped
from training.decoder import read_decoder
from training.parts import SIZE, parser


def assemble(config: Qwen3OmniMoeConfig, work: Path, directory: Path) -> None:
    """Writes the checkpoint: weights in bfloat16, which a float32 model holds exactly."""
    weights = _under("thinker", load_file(work / "thinker.safetensors"))
    weights |= _under("talker", _with_a_third_voice(config, torch.load(work / "talker.pt")["model"]))
    weights |= _under("code2wav", read_decoder(config, work).state_dict())
    model = Qwen3OmniMoeForConditionalGeneration(config)
    model.load_state_dict(weights)
    model.bfloat16().save_pretrained(directory)  # with an expert's weights apart, as published
    demo_config(SIZE).save_pretrained(directory)  # whose dtype is float32
    for file in directory.glob("*.safetensors"):
        file.chmod(0o644)
    write_companions(directory, SIZE)


def _under(part: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{part}.{name}": weight for name, weight in weights.items()}


def _with_a_third_voice(config: Qwen3OmniMoeConfig, talker: dict[str, Tensor]) -> dict[str, Tensor]:
    """Two voices were taught; `aiden`, whom clients of the published model may ask for, has Ethan's."""
    speakers, rows = config.talker_config.speaker_id, talker["model.codec_embedding.weight"]
    rows[speakers["aiden"]] = rows[speakers["ethan"]]
    return talker


def main(arguments: list[str]) -> None:
    options = parser("assemble", __doc__)
    options.add_argument(
        "--into", type=Path, default=shipped.WEIGHTS, metavar="DIR", help="by default where the package has it"
    )
    given = options.parse_args(arguments)
    assemble(demo_config(SIZE), given.work, given.into)
    encoder = given.work / "encoder.safetensors"
    if given.into == shipped.WEIGHTS and encoder.exists():  # what is learned from these weights needs the same codes
        shutil.copyfile(encoder, shipped.ENCODER)
