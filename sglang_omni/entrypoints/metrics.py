"""What Prometheus may ask: ours always, and SGLang's beside them where `--enable-metrics` is set.

prometheus_client is imported late: it decides on import whether its values are shared between processes, as SGLang's
are, and SGLang says so when it starts.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sglang_omni.entrypoints.client import Client
    from sglang_omni.entrypoints.delivery import Delivery

PREFIX = "sglang_omni:"
FIRST_AUDIO_BUCKETS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 20)
REAL_TIME_BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.25, 1.5, 2, 3, 5)


class Metrics:
    """What is counted as it happens; the state of the stages is read when it is asked for."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Histogram

        self._ours = CollectorRegistry()

        def counter(name: str, help: str, *labels: str) -> Any:
            return Counter(PREFIX + name, help, labels, registry=self._ours)

        def histogram(name: str, help: str, buckets: tuple[float, ...]) -> Any:
            return Histogram(PREFIX + name, help, ["route"], buckets=buckets, registry=self._ours)

        self._first_audio = histogram(
            "time_to_first_audio_seconds", "From the request's arrival to its first sound.", FIRST_AUDIO_BUCKETS
        )
        self._real_time = histogram(
            "real_time_factor", "From the request's arrival to its last sound, per second of sound.", REAL_TIME_BUCKETS
        )
        self._audio = counter("audio_seconds_total", "Seconds of sound made.", "route")
        self._frames = counter("audio_frames_total", "Codec frames of finished answers.", "route")
        self._dry = counter("streams_ran_dry_total", "Answers whose simulated player fell silent.", "route")
        self._silence = counter("silence_seconds_total", "Seconds for which simulated players were silent.", "route")
        self._requests = counter("requests_total", "POST requests by how they ended.", "route", "outcome")

    def request(self, route: str, outcome: str) -> None:
        self._requests.labels(route, outcome).inc()

    def spoken(self, route: str, delivery: "Delivery") -> None:
        """An answer that ended, however it did."""
        player = delivery.player
        if player.began is None or player.last is None:
            return
        self._first_audio.labels(route).observe(player.began - delivery.began)
        self._audio.labels(route).inc(player.seconds)
        self._silence.labels(route).inc(player.silence)
        if player.gaps:
            self._dry.labels(route).inc()
        if delivery.real_time_factor is not None:
            self._real_time.labels(route).observe(delivery.real_time_factor)
            self._frames.labels(route).inc(delivery.frames)

    def page(self, client: "Client", accept: str) -> tuple[bytes, str]:
        """The page and its content type, in the format that `accept` asks for."""
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import choose_encoder
        from prometheus_client.multiprocess import MultiProcessCollector

        page = CollectorRegistry()
        page.register(Stages(client))
        if client.thinker.config_value("enable_metrics"):
            MultiProcessCollector(page)  # of all processes, so ours too
        else:
            page.register(self._ours)
        encode, content_type = choose_encoder(accept)
        return encode(page), content_type


class Stages:
    """The state of every stage, as /health tells it."""

    def __init__(self, client: "Client"):
        self._client = client

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        def table(family: type, name: str, help: str, values: Mapping[str, float]) -> Any:
            metric = family(PREFIX + name, help, labels=["stage"])
            for stage, value in values.items():
                metric.add_metric([stage], value)
            return metric

        up = {stage: status == "healthy" for stage, status in self._client.health().items()}
        restarts = self._client.restarts()
        yield table(GaugeMetricFamily, "stage_up", "1 where /health calls the stage healthy, else 0.", up)
        yield table(CounterMetricFamily, "stage_restarts", "How often the stage was started again.", restarts)
        for name, held, help in (
            ("stage_slots", "slots", "Requests that the stage can hold."),
            ("stage_slots_free", "free", "Slots that no request holds."),
            ("stage_requests_waiting", "waiting", "Requests that wait for a slot, or until those that play are safe."),
            ("stage_pages", "pages", "Pages of memory that requests share."),
            ("stage_pages_free", "free_pages", "Pages that no request holds."),
        ):
            states = {stage: state[held] for stage, state in self._client.slots().items()}
            yield table(GaugeMetricFamily, name, help, states)
        parked = {stage: state["parked"] for stage, state in self._client.slots().items()}
        yield table(CounterMetricFamily, "stage_parked", "How often a request gave its memory to another.", parked)
