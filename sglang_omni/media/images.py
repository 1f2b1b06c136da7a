"""Pictures."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sglang_omni.media.policy import MediaPolicy, refusal

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
"""Those of OpenAI's API, and BMP. Pillow's many others are rare in requests, and so are their decoders' tests."""

MAX_RATIO = 200
"""Of the longer to the shorter side: image processors refuse more."""

ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by EXIF's orientation."""


def decode_image(data: bytes, policy: MediaPolicy, name: str, longest: int | None = None) -> NDArray[np.uint8]:
    """A picture (height, width, 3) in RGB, upright; of an animation, the first frame.

    It is made smaller, in its proportions, where a side has more than `longest` pixels.
    """
    Image.MAX_IMAGE_PIXELS = None  # the limit is the policy's
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        width, height = image.size
    except Exception:  # Pillow raises anything on broken files
        raise refusal(name, "the file is no picture in JPEG, PNG, WebP, GIF or BMP") from None
    check_size(width, height, policy, name)
    try:
        image.load()
        turn = TURNS.get(image.getexif().get(ORIENTATION, 1))
        picture = image.convert("RGB")
        if turn is not None:
            picture = picture.transpose(turn)
        if longest is not None:
            picture.thumbnail((longest, longest))
        return np.asarray(picture)
    except MemoryError:
        raise
    except Exception:
        raise refusal(name, "the picture could not be decoded") from None


def check_size(width: int, height: int, policy: MediaPolicy, name: str) -> None:
    if width * height > policy.max_pixels:
        raise _too_many_pixels(policy, name)
    if max(width, height) > MAX_RATIO * min(width, height):
        raise refusal(name, f"{width} x {height} pixels are more than {MAX_RATIO} times as long as wide")


def _too_many_pixels(policy: MediaPolicy, name: str) -> Exception:
    return refusal(name, f"more than {policy.max_pixels / 2**20:g} million pixels (--media-max-pixels)")
