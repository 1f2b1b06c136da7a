"""One spoken answer on its way to the client, and what is measured of it."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

from sglang_omni.audio.clip import BYTES_PER_SAMPLE
from sglang_omni.audio.player import Player
from sglang_omni.entrypoints import tracing
from sglang_omni.entrypoints.account import Account
from sglang_omni.entrypoints.client import Client
from sglang_omni.entrypoints.outcomes import outcome_of
from sglang_omni.errors import OmniError
from sglang_omni.pipeline import Speech
from sglang_omni.sidecar.messages import Times


class Delivery:
    """Times are seconds of the monotonic clock. `outcome` is `finished`, `aborted`, `refused` or `failed`."""

    def __init__(self, sample_rate: int, stages: list[str], span: tracing.SpeechSpan | None = None):
        self.began = time.monotonic()
        self.player = Player()
        self.outcome = "finished"
        self.text_tokens = 0  # that were given to be said
        self.frames = 0
        self.times: dict[str, list[Times]] = {stage: [] for stage in stages}  # of every piece that was made to its end
        self._span = span
        self._bytes_per_second = sample_rate * BYTES_PER_SAMPLE

    @property
    def trace_headers(self) -> dict[str, str] | None:
        """For what belongs to this answer in the trace of its request."""
        return self._span.headers if self._span else None

    def sound(self, pcm: bytes, arrived: float) -> None:
        self.player.add(arrived, len(pcm) / self._bytes_per_second)

    def made(self, id: str, speech: Speech) -> None:
        """A piece, the request `id` of all stages, has come to its end."""
        self.frames += speech.frames
        for stage, times in speech.times.items():
            self.times[stage].append(times)
        if self._span:
            self._span.stages(id, speech.times)

    async def hear(self, id: str, speech: Speech) -> AsyncGenerator[bytes, None]:
        """The sound of `speech`, the only piece."""
        async for pcm in speech:
            self.sound(pcm, speech.arrived)
            yield pcm
        self.made(id, speech)

    @property
    def real_time_factor(self) -> float | None:
        """Seconds until the last sound came, per second of sound; only of what was said to its end."""
        if self.outcome != "finished" or self.player.last is None:
            return None
        return (self.player.last - self.began) / self.player.seconds


@contextmanager
def deliver(client: Client, account: Account, id: str, route: str) -> Iterator[Delivery]:
    """One answer, from its request to its end; leaving the block counts it."""
    stages = [stage.name for stage in client.spec.stages]
    span = tracing.begin(id, route, account.headers, account.read)
    delivery = Delivery(client.spec.sample_rate, stages, span)
    account.deliveries.append(delivery)
    try:
        yield delivery
    except (GeneratorExit, asyncio.CancelledError):
        delivery.outcome = "aborted"
        raise
    except BaseException as error:
        delivery.outcome = outcome_of(error.status if isinstance(error, OmniError) else 500)
        raise
    finally:
        client.metrics.spoken(route, delivery)
        if span:
            span.end(delivery.outcome, delivery.frames, delivery.player.seconds)
