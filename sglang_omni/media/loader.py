"""From what requests name to decoded media: downloads in threads, decoding in processes."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sglang_omni.errors import Overloaded
from sglang_omni.media.audio import decode_audio
from sglang_omni.media.deadline import Deadline
from sglang_omni.media.decoders import Decoders
from sglang_omni.media.images import decode_image
from sglang_omni.media.policy import MediaPolicy
from sglang_omni.media.source import is_remote, read
from sglang_omni.media.video import ChooseFrames, Video, decode_video

DOWNLOADS = 32
"""At once. They mostly wait; what is inlined or local never waits for them."""


class Loader:
    """Loads the media of all requests of a server; `decoders` files are decoded at once.

    A source is a path, a URL, a data URI or the bytes of a file. Every failure is a MediaError about `name`. Who no
    longer wants a medium cancels the task that awaits it, and its download or decoding ends soon.
    """

    def __init__(self, policy: MediaPolicy, decoders: int = 4):
        self.policy = policy
        self._downloads = ThreadPoolExecutor(DOWNLOADS, "download-media")
        self._others = ThreadPoolExecutor(decoders, "decode-media")
        self._turn = threading.BoundedSemaphore(decoders)
        self._decoders = Decoders()

    async def image(self, source: str | bytes, name: str, longest: int | None = None) -> Image.Image:
        """RGB and upright, made smaller where a side has more than `longest` pixels."""
        return await self._load(source, name, decode_image, Image.fromarray, longest=longest)

    async def audio(self, source: str | bytes, name: str) -> NDArray[np.float32]:
        """(samples,) at 16 kHz."""
        return await self._load(source, name, decode_audio)

    async def video(self, source: str | bytes, name: str, choose: ChooseFrames, with_sound: bool = False) -> Video:
        return await self._load(source, name, decode_video, _video, answer=choose, with_sound=with_sound)

    def start(self, policy: MediaPolicy) -> None:
        """From now on it serves, by this policy."""
        self.policy = policy
        self._decoders.start()

    def stop(self) -> None:
        self._downloads.shutdown(wait=False, cancel_futures=True)
        self._others.shutdown(wait=False, cancel_futures=True)
        self._decoders.stop()

    async def _load(
        self,
        source: str | bytes,
        name: str,
        decode: Callable[..., Any],
        finish: Callable[[Any], Any] = lambda decoded: decoded,
        **options: Any,
    ) -> Any:
        cancelled = threading.Event()
        turn = Deadline(self.policy.fetch_seconds)
        remote = is_remote(source)

        def load() -> Any:
            if remote and turn.passed:
                raise Overloaded(f"{name}: too many downloads at once; try again later", param=name)
            data = read(source, self.policy, name, Deadline(self.policy.fetch_seconds, cancelled))
            with self._turn:
                decoded = Deadline(self.policy.decode_seconds, cancelled)
                return finish(self._decoders.run(decode, data, self.policy, name, decoded, **options))

        try:
            pool = self._downloads if remote else self._others
            return await asyncio.get_running_loop().run_in_executor(pool, load)
        finally:
            cancelled.set()


def _video(fields: dict[str, Any]) -> Video:
    return Video(**fields)
