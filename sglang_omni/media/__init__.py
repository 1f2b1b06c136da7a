"""Pictures, sounds and videos that requests name: fetched, checked against limits, and decoded."""

from sglang_omni.media.loader import Loader
from sglang_omni.media.policy import MediaPolicy
from sglang_omni.media.video import Video

__all__ = ["Loader", "MediaPolicy", "Video"]
