"""OpenTelemetry spans of what is spoken, where SGLang traces requests (`--enable-trace`): in the same traces, and sent
where SGLang sends its own.

OpenTelemetry is imported late: it is there with the extra `tracing` alone.
"""

import time
from collections.abc import Mapping

from sglang.srt.observability.trace import TraceReqContext, opentelemetry_imported

from sglang_omni.errors import ConfigError
from sglang_omni.sidecar.messages import Times

SCOPE = "sglang_omni"


def check_installed() -> None:
    """Raises ConfigError where SGLang could not trace."""
    if not opentelemetry_imported:
        raise ConfigError("--enable-trace needs OpenTelemetry: pip install '.[tracing]' in a checkout")


def begin(id: str, route: str, headers: Mapping[str, str], since: float) -> "SpeechSpan | None":
    """Of a spoken answer; None where SGLang would not trace a request now (`--trace-modules`, `/set_trace_level`)."""
    traced = TraceReqContext(id, module_name="request").is_tracing_enabled()
    return SpeechSpan(id, route, headers, since) if traced else None


class SpeechSpan:
    """A spoken answer, `since` the monotonic clock's moment when its request was read, below the span that the
    client's `headers` name. What the stages did is known afterwards, by their own clocks."""

    def __init__(self, id: str, route: str, headers: Mapping[str, str], since: float):
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._tracer = trace.get_tracer(SCOPE)
        self._propagator = TraceContextTextMapPropagator()
        above = self._propagator.extract(headers)
        facts = {"rid": id, "route": route}
        begin = _nanoseconds(time.time() - time.monotonic() + since)
        self._span = self._tracer.start_span("speech", above, attributes=facts, start_time=begin)
        self._inside = trace.set_span_in_context(self._span)

    @property
    def headers(self) -> dict[str, str]:
        """Whoever is sent these puts its spans below this one."""
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, self._inside)
        return carrier

    def stages(self, id: str, times: Mapping[str, Times]) -> None:
        """A span for what each stage did for the request `id`, and one below it for its wait for a slot."""
        from opentelemetry import trace

        for stage, its in times.items():
            facts: dict[str, str | float] = {"rid": id, "waited_s": its.admitted, "worked_s": its.worked}
            begin = _nanoseconds(its.arrived)
            span = self._tracer.start_span(stage, self._inside, attributes=facts, start_time=begin)
            wait = self._tracer.start_span(f"{stage} waits", trace.set_span_in_context(span), start_time=begin)
            wait.end(_nanoseconds(its.arrived + its.admitted))
            if its.first is not None:
                span.add_event("first output", timestamp=_nanoseconds(its.arrived + its.first))
            span.end(_nanoseconds(its.arrived + its.ended))

    def end(self, outcome: str, frames: int, seconds: float) -> None:
        """`seconds` of sound were made."""
        from opentelemetry.trace import StatusCode

        self._span.set_attributes({"outcome": outcome, "frames": frames, "audio_s": seconds})
        if outcome == "failed":
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
