"""One spoken answer on its way to the client: what is measured of it, and the line that the log gets."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

from sglang_omni.audio.clip import BYTES_PER_SAMPLE
from sglang_omni.audio.player import Player
from sglang_omni.entrypoints.metrics import Metrics
from sglang_omni.errors import OmniError
from sglang_omni.pipeline import Speech

logger = logging.getLogger(__name__)


class Delivery:
    """Times are seconds of the monotonic clock. `outcome` is `finished`, `aborted`, `refused` or `failed`."""

    def __init__(self, id: str, route: str, sample_rate: int):
        self.id = id
        self.route = route
        self.began = time.monotonic()
        self.player = Player()
        self.outcome = "finished"
        self.text_tokens: int | None = None  # said, or made by the thinker
        self.frames = 0
        self._bytes_per_second = sample_rate * BYTES_PER_SAMPLE
        self._first_text: float | None = None
        self._last_text: float | None = None

    def text(self, tokens: int | None) -> None:
        """Some text came; `tokens` in all, where that is known."""
        self.text_tokens = tokens
        self._last_text = time.monotonic()
        self._first_text = self._first_text or self._last_text

    def sound(self, pcm: bytes, arrived: float) -> None:
        self.player.add(arrived, len(pcm) / self._bytes_per_second)

    async def hear(self, speech: Speech) -> AsyncGenerator[bytes, None]:
        """The sound of `speech`."""
        async for pcm in speech:
            self.sound(pcm, speech.arrived)
            yield pcm
        self.frames = speech.frames

    @property
    def real_time_factor(self) -> float | None:
        """Seconds until the last sound came, per second of sound; only of what was said to its end."""
        if self.outcome != "finished" or self.player.last is None:
            return None
        return (self.player.last - self.began) / self.player.seconds

    def line(self) -> str:
        player, factor = self.player, self.real_time_factor
        values = {
            "request": self.id,
            "route": self.route,
            "outcome": self.outcome,
            "text_tokens": "-" if self.text_tokens is None else self.text_tokens,
            "frames": self.frames,
            "audio_s": f"{player.seconds:.2f}",
            "first_text_s": self._since(self._first_text),
            "last_text_s": self._since(self._last_text),
            "first_audio_s": self._since(player.began),
            "last_audio_s": self._since(player.last),
            "total_s": self._since(time.monotonic()),
            "real_time_factor": "-" if factor is None else f"{factor:.3f}",
            "gaps": player.gaps,
            "silence_s": f"{player.silence:.3f}",
        }
        return " ".join(f"{name}={value}" for name, value in values.items())

    def _since(self, moment: float | None) -> str:
        return "-" if moment is None else f"{moment - self.began:.3f}"


@contextmanager
def deliver(metrics: Metrics, id: str, route: str, sample_rate: int) -> Iterator[Delivery]:
    """One answer, from its request to its end; leaving the block counts and logs it."""
    delivery = Delivery(id, route, sample_rate)
    try:
        yield delivery
    except (GeneratorExit, asyncio.CancelledError):
        delivery.outcome = "aborted"
        raise
    except BaseException as error:
        refused = isinstance(error, OmniError) and error.status < 500
        delivery.outcome = "refused" if refused else "failed"
        raise
    finally:
        metrics.spoken(delivery)
        logger.info("spoke %s", delivery.line())
