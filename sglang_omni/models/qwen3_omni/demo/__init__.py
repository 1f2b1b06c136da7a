"""Qwen3-Omnis of the genuine layout that are small: one made from a seed in seconds, and a trained one.

The one from a seed answers in random words and speaks noise, the same every time. Tests and benchmarks use it. What
lies in `trained/` has learned to speak, hear and see a little, by the recipe in `training/`; it is served by default.
`SIZES["real"]` has the published model's dimensions and is for `fill_weights` on a GPU, never for a disk.
"""

import hashlib
import json
import os
import shutil
import tempfile
from importlib import resources
from pathlib import Path

import torch
import transformers
from transformers import (
    GenerationConfig,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    Qwen3OmniMoeForConditionalGeneration,
    WhisperFeatureExtractor,
)

from sglang_omni.errors import ConfigError
from sglang_omni.models.qwen3_omni.demo.config import SIZES, Size, demo_config
from sglang_omni.models.qwen3_omni.demo.tokenizer import write_tokenizer
from sglang_omni.models.qwen3_omni.demo.weights import fill_weights

WRITTEN_SIZES = tuple(size for size in SIZES if size != "real")

__all__ = [
    "SIZES",
    "WRITTEN_SIZES",
    "Size",
    "cached_demo_model",
    "default_model",
    "demo_config",
    "fill_weights",
    "trained_model",
    "write_companions",
    "write_demo_model",
]


def write_demo_model(directory: Path, size: str = "demo", seed: int = 0) -> None:
    """Writes a checkpoint that transformers, SGLang and this package load like the published one."""
    if size not in WRITTEN_SIZES:
        raise ConfigError(f"no demo model of size {size!r}. Available: {', '.join(WRITTEN_SIZES)}")
    directory.mkdir(parents=True, exist_ok=True)
    config = demo_config(size)
    with torch.random.fork_rng():  # the model's own initialisation draws from the global generator
        model = Qwen3OmniMoeForConditionalGeneration(config).eval()
    fill_weights(model, seed)
    model.save_pretrained(directory, max_shard_size="8MB")
    write_companions(directory, size)


def write_companions(directory: Path, size: str) -> None:
    """What lies beside the weights and the config: generation config, tokenizer, processors, chat template."""
    _generation_config(size).save_pretrained(directory)
    write_tokenizer(directory, SIZES[size].vocabulary)
    _write_processors(directory)


def trained_model() -> Path | None:
    """The trained checkpoint that comes with this package; None where its weights do not."""
    directory = Path(str(resources.files(__package__).joinpath("trained")))
    return directory if any(directory.glob("*.safetensors")) else None


def default_model() -> Path:
    """What is served when nothing else is asked for."""
    return trained_model() or cached_demo_model()


DRAWING = {
    "talker_temperature": 0.9,
    "talker_top_k": 50,
    "talker_repetition_penalty": 1.05,
    "talker_max_new_tokens": 4096,
}
TRAINED_DRAWING = {
    "do_sample": True,
    "temperature": 0.1,
    "talker_temperature": 0.2,
    "talker_top_k": 20,
    "talker_repetition_penalty": 1.0,
    "code_predictor_temperature": 0.05,
    "talker_max_new_tokens": 256,
    "talker_max_text_length": 120,
}
"""The thinker is to answer, not to invent. The talker learned from utterances of ten seconds at most: about 120
characters."""


def _generation_config(size: str) -> GenerationConfig:
    ids = SIZES[size].vocabulary
    return GenerationConfig(
        bos_token_id=ids["<|endoftext|>"],
        pad_token_id=ids["<|endoftext|>"],
        eos_token_id=[ids["<|im_end|>"], ids["<|endoftext|>"]],
        talker_top_p=1.0,
        **(TRAINED_DRAWING if size == "trained" else DRAWING),
    )


def _write_processors(directory: Path) -> None:
    """Media settings of the published model, but pictures of at most 144 tokens."""
    half = [0.5, 0.5, 0.5]
    vision = {"patch_size": 16, "temporal_patch_size": 2, "merge_size": 2, "image_mean": half, "image_std": half}
    image = Qwen2VLImageProcessor(size={"shortest_edge": 4 * 32**2, "longest_edge": 144 * 32**2}, **vision)
    video = Qwen2VLVideoProcessor(size={"shortest_edge": 4 * 32**2, "longest_edge": 144 * 32**2}, **vision)
    audio = WhisperFeatureExtractor(
        feature_size=128, sampling_rate=16_000, hop_length=160, chunk_length=300, n_fft=400, return_attention_mask=True
    )
    preprocessor = image.to_dict() | audio.to_dict() | {"processor_class": "Qwen3OmniMoeProcessor"}
    _write_json(directory / "preprocessor_config.json", preprocessor)
    _write_json(directory / "video_preprocessor_config.json", video.to_dict())
    template = resources.files(__package__).joinpath("chat_template.jinja").read_text()
    (directory / "chat_template.jinja").write_text(template)


def _write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


def cached_demo_model(size: str = "demo") -> Path:
    """The checkpoint in the user's cache directory, written there by whoever comes first.

    Its folder is named after the recipe, so that a new version of this package writes it anew.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sglang-omni"
    path = cache / f"{size}-{_recipe()}"
    if path.exists():
        return path
    cache.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{size}-", dir=cache))
    try:
        write_demo_model(building, size)
        building.chmod(0o755)
        building.rename(path)
    except OSError:
        if not path.exists():  # otherwise another starter was faster
            raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return path


def _recipe() -> str:
    """A hash of this folder's files and of the libraries that turn them into a checkpoint."""
    digest = hashlib.sha256(f"{torch.__version__} {transformers.__version__}".encode())
    for file in sorted(resources.files(__package__).iterdir(), key=lambda file: file.name):
        if file.name.endswith((".py", ".txt", ".jinja")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
