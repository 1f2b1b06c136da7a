"""Pictures."""

import io

from PIL import Image, ImageOps

from sglang_omni.media.policy import MediaPolicy, refusal
from sglang_omni.media.source import read

MAX_RATIO = 200
"""Of the longer to the shorter side: image processors refuse more."""


def load_image(source: str | bytes, policy: MediaPolicy, name: str = "image") -> Image.Image:
    """An RGB picture, turned as its EXIF data say; of an animation, the first frame."""
    data = read(source, policy, name)
    try:
        image = Image.open(io.BytesIO(data))
        check_size(image.width, image.height, policy, name)
        return ImageOps.exif_transpose(image).convert("RGB")
    except Image.DecompressionBombError:
        raise _too_many_pixels(policy, name) from None
    except (OSError, SyntaxError, ValueError, EOFError):  # what Pillow's decoders raise on broken files
        raise refusal(name, "the picture could not be decoded") from None


def check_size(width: int, height: int, policy: MediaPolicy, name: str) -> None:
    if width * height > policy.max_pixels:
        raise _too_many_pixels(policy, name)
    if max(width, height) > MAX_RATIO * min(width, height):
        raise refusal(name, f"{width} x {height} pixels are more than {MAX_RATIO} times as long as wide")


def _too_many_pixels(policy: MediaPolicy, name: str) -> Exception:
    return refusal(name, f"more than {policy.max_pixels / 2**20:g} million pixels")
