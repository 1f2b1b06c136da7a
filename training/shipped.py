"""What is shipped of an earlier training: weights in the package, and here the encoder, without which nobody can make
more of the codes that they know."""

from pathlib import Path

from torch import Tensor
from transformers import Qwen3OmniMoeForConditionalGeneration

WEIGHTS = Path(__file__).parent.parent / "sglang_omni" / "models" / "qwen3_omni" / "demo" / "trained"
ENCODER = Path(__file__).parent / "encoder.safetensors"


def weights(part: str) -> dict[str, Tensor]:
    """Of the `thinker`, the `talker` or `code2wav`, in float32."""
    return getattr(Qwen3OmniMoeForConditionalGeneration.from_pretrained(WEIGHTS), part).state_dict()
