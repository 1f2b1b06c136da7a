"""What the media of one request may come to together, as they stay in memory until all of them are there."""

import numpy as np
from PIL import Image

from sglang_omni.media.audio import SAMPLE_RATE
from sglang_omni.media.policy import MediaPolicy, refusal
from sglang_omni.media.video import Video


class Budget:
    def __init__(self, policy: MediaPolicy):
        self._policy = policy
        self._pixels = 0
        self._samples = 0

    def spend(self, medium: object, name: str) -> None:
        """Counts a decoded medium."""
        if isinstance(medium, Image.Image):
            self._pixels += medium.width * medium.height
        elif isinstance(medium, np.ndarray):
            self._samples += len(medium)
        elif isinstance(medium, Video):
            self._pixels += medium.frames[..., 0].size
            self._samples += 0 if medium.sound is None else len(medium.sound)
        if self._pixels > self._policy.max_total_pixels:
            most = f"{self._policy.max_total_pixels / 2**20:g} million pixels (--media-max-total-pixels)"
            raise refusal(name, f"with it, the request's pictures and videos have more than {most}")
        if self._samples > self._policy.max_seconds * SAMPLE_RATE:
            most = f"{self._policy.max_seconds:g} s (--media-max-seconds)"
            raise refusal(name, f"with it, the request's sounds are longer than {most}")
