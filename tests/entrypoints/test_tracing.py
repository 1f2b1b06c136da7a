"""Spans of what is spoken, as a collector gets them."""

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from fastapi.testclient import TestClient
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from sglang.srt.observability import trace as sglang

from sglang_omni import config
from sglang_omni.entrypoints import tracing
from sglang_omni.entrypoints.sglang_args import server_args
from sglang_omni.errors import ConfigError, RequestFailed
from sglang_omni.models import spec_of
from sglang_omni.sidecar.messages import Times
from tests.entrypoints.fakes import Fake

CHATS, SPEECHES = "/v1/chat/completions", "/v1/audio/speech"
CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}
ALOUD = {**CHAT, "modalities": ["text", "audio"]}
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALLED = {"traceparent": f"00-{TRACE}-{CALLER}-01"}


class Collector(ThreadingHTTPServer):
    """Keeps the spans that are posted to it."""

    def __init__(self) -> None:
        self.received: list[Span] = []
        super().__init__(("127.0.0.1", 0), Receiver)

    def spans(self) -> list[Span]:
        """All since the last call, in the order of their begins."""
        trace.get_tracer_provider().force_flush()  # type: ignore[attr-defined]
        received, self.received = self.received, []
        return sorted(received, key=lambda span: span.start_time_unix_nano)


class Receiver(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for of_scope in of_resource.scope_spans:
                self.server.received += of_scope.spans
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def running() -> Iterator[Collector]:
    """A collector, and SGLang's tracing as `--enable-trace` sets it up: once in a process."""
    with pytest.MonkeyPatch.context() as patch, Collector() as collector:
        Thread(target=collector.serve_forever, daemon=True).start()
        patch.setenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf")
        patch.setattr(sglang, "opentelemetry_initialized", False)
        sglang.process_tracing_init(f"http://127.0.0.1:{collector.server_port}/v1/traces", "omni", "request")
        yield collector
        trace.get_tracer_provider().shutdown()  # type: ignore[attr-defined]
        collector.shutdown()


@pytest.fixture
def collector(running: Collector) -> Collector:
    running.spans()
    return running


def named(spans: list[Span], name: str) -> list[Span]:
    return [span for span in spans if span.name == name]


def facts(span: Span) -> dict[str, Any]:
    return {fact.key: getattr(fact.value, fact.value.WhichOneof("value")) for fact in span.attributes}


def seconds(span: Span, since: float) -> tuple[float, float]:
    begin, end = span.start_time_unix_nano / 1e9 - since, span.end_time_unix_nano / 1e9 - since
    return round(begin, 3), round(end, 3)


@pytest.mark.parametrize("stream", [False, True])
def test_a_spoken_chat_joins_the_callers_trace(
    client: TestClient, fake: Fake, collector: Collector, stream: bool
) -> None:
    asked = time.time()
    fake.pipeline.times = times = Times(asked, 0.25, 0.5, 1.0, 0.125)
    response = client.post(CHATS, json={**ALOUD, "stream": stream}, headers=CALLED)
    spans = collector.spans()
    assert sorted(span.name for span in spans) == ["code2wav", "code2wav waits", "speech", "talker", "talker waits"]
    assert {span.trace_id.hex() for span in spans} == {TRACE}
    (speech,) = named(spans, "speech")
    id = response.headers["x-request-id"]
    assert speech.parent_span_id.hex() == CALLER
    assert asked <= speech.start_time_unix_nano / 1e9 <= speech.end_time_unix_nano / 1e9 <= time.time()
    assert facts(speech) == {"rid": id, "route": CHATS, "outcome": "finished", "frames": 2, "audio_s": 3 / 24_000}
    for stage in "talker", "code2wav":
        (span,), (wait,) = named(spans, stage), named(spans, f"{stage} waits")
        assert span.parent_span_id == speech.span_id
        assert wait.parent_span_id == span.span_id
        assert facts(span) == {"rid": id, "waited_s": 0.25, "worked_s": 0.125}
        assert (seconds(span, times.arrived), seconds(wait, times.arrived)) == ((0, 1), (0, 0.25))
        (first,) = span.events
        assert (first.name, round(first.time_unix_nano / 1e9 - times.arrived, 3)) == ("first output", 0.5)


@pytest.mark.parametrize("headers", [{}, CALLED, {"traceparent": "nonsense"}])
@pytest.mark.parametrize("stream", [False, True])
def test_the_thinkers_spans_go_below_the_speechs(
    client: TestClient, fake: Fake, collector: Collector, headers: dict[str, str], stream: bool
) -> None:
    client.post(CHATS, json={**ALOUD, "stream": stream}, headers=headers)
    (speech,) = named(collector.spans(), "speech")
    (request,) = fake.thinker.requests
    assert request.external_trace_header == {
        "traceparent": f"00-{speech.trace_id.hex()}-{speech.span_id.hex()}-01",
    }


def test_what_did_not_come_to_its_end_has_no_stages(client: TestClient, fake: Fake, collector: Collector) -> None:
    fake.pipeline.late_error = RequestFailed("the talker failed on this request")
    client.post(SPEECHES, json={"input": "hi"})
    (speech,) = collector.spans()
    assert (facts(speech)["outcome"], speech.status.code) == ("failed", Status.STATUS_CODE_ERROR)


def test_every_piece_of_a_long_text_has_its_stages(client: TestClient, fake: Fake, collector: Collector) -> None:
    response = client.post(SPEECHES, json={"input": "A sentence. " * 300})
    spans = collector.spans()
    id = response.headers["x-request-id"]
    pieces = [id, *(f"{id}.{index}" for index in range(1, len(fake.pipeline.spoken)))]
    assert len(pieces) > 2
    assert sorted(facts(span)["rid"] for span in named(spans, "talker")) == sorted(pieces)
    (speech,) = named(spans, "speech")
    assert facts(speech)["frames"] == 2 * len(pieces)


def test_text_has_no_speech(client: TestClient, collector: Collector) -> None:
    client.post(CHATS, json=CHAT, headers=CALLED)
    assert collector.spans() == []


def test_what_sglang_does_not_trace_we_do_not(client: TestClient, fake: Fake, collector: Collector) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sglang, "global_trace_modules", ["mooncake"])
        client.post(CHATS, json=ALOUD, headers=CALLED)
    sglang.set_global_trace_level(0)
    try:
        client.post(CHATS, json=ALOUD, headers=CALLED)
    finally:
        sglang.set_global_trace_level(3)
    assert collector.spans() == []
    assert [request.external_trace_header for request in fake.thinker.requests] == [None, None]


def test_without_the_packages_the_flag_is_refused(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options, spec = config.parse(["--enable-trace"]), spec_of(tiny_model)
    assert server_args(options, spec, tiny_model).enable_trace
    monkeypatch.setattr(tracing, "opentelemetry_imported", False)
    with pytest.raises(ConfigError, match=r"--enable-trace needs OpenTelemetry: pip install '\.\[tracing\]'"):
        server_args(options, spec, tiny_model)
