"""Pictures, sounds and videos that requests name: fetched, checked against limits, and decoded.

Everything here blocks, and belongs in a thread pool. Every failure is a MediaError in the user's words.
"""

from sglang_omni.media.audio import load_audio
from sglang_omni.media.images import load_image
from sglang_omni.media.policy import MediaPolicy
from sglang_omni.media.video import Video, load_video

__all__ = ["MediaPolicy", "Video", "load_audio", "load_image", "load_video"]
