"""One line in the log for every request that has ended, with the times of whatever took part."""

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sglang.srt.managers.io_struct import GenerateReqInput
from sglang.srt.managers.tokenizer_manager import TokenizerManager
from sglang.srt.observability.req_time_stats import APIServerReqTimeStats

from sglang_omni.entrypoints.account import Account
from sglang_omni.entrypoints.delivery import Delivery
from sglang_omni.entrypoints.tokenizer_manager import OmniTokenizerManager
from sglang_omni.errors import RequestFailed
from sglang_omni.pipeline import Speech
from sglang_omni.sidecar.messages import Times
from tests.entrypoints.fakes import Fake
from tests.entrypoints.test_disconnect import leave

CHATS, SPEECHES, BATCHES = "/v1/chat/completions", "/v1/audio/speech", "/v1/audio/speech/batch"
CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "my secret"}]}
ALOUD = {**CHAT, "modalities": ["text", "audio"]}
OUTCOMES = "sglang_omni.entrypoints.outcomes"


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, OUTCOMES)
    return caplog


def fields(line: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in line.split(" "))


def lines(log: pytest.LogCaptureFixture) -> list[dict[str, str]]:
    said = [record.getMessage() for record in log.records if record.name == OUTCOMES]
    assert all(line.startswith("ended ") for line in said)
    return [fields(line.removeprefix("ended ")) for line in said]


def thought(sent: float) -> Any:
    """SGLang's state of a request that it got at 5 s, sent to its scheduler, and has had nothing back for."""
    stats = APIServerReqTimeStats(created_time=5.0, api_server_dispatch_finish_time=sent)
    return SimpleNamespace(output_ids=[], time_stats=stats)


def increases(line: dict[str, str], *names: str) -> bool:
    times = [float(line[name]) for name in names]
    return times == sorted(times)


@pytest.mark.parametrize("stream", [False, True])
def test_a_spoken_chat(client: TestClient, log: pytest.LogCaptureFixture, stream: bool) -> None:
    response = client.post(CHATS, json={**ALOUD, "stream": stream})
    (line,) = lines(log)
    assert line["request"] == response.headers["x-request-id"]
    assert (line["route"], line["outcome"], line["status"]) == (CHATS, "finished", "200")
    assert (line["text_tokens"], line["frames"], line["audio_s"]) == ("3", "2", "0.000")
    assert increases(line, "prepared_s", "first_text_s", "last_text_s", "total_s")
    assert increases(line, "thinker_first_s", "thinker_s", "total_s")
    assert increases(line, "first_audio_s", "last_audio_s", "total_s")
    assert float(line["real_time_factor"]) > 0
    for stage in "talker", "code2wav":
        times = [line[f"{stage}_{name}"] for name in ("waited_s", "first_s", "s", "worked_s")]
        assert times == ["0.250", "0.500", "1.000", "0.125"]
    assert "secret" not in log.text
    assert "Hello" not in log.text


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_in_text(client: TestClient, log: pytest.LogCaptureFixture, stream: bool) -> None:
    client.post(CHATS, json={**CHAT, "stream": stream})
    (line,) = lines(log)
    assert (line["outcome"], line["text_tokens"]) == ("finished", "3")
    assert increases(line, "first_text_s", "last_text_s", "total_s")
    assert (line["thinker_waited_s"], line["thinker_prefill_s"]) == ("-", "-")
    assert not {"frames", "audio_s", "talker_s"} & line.keys()


def test_what_sglang_measures_where_its_metrics_are_on() -> None:
    told = {"meta_info": {"queue_time": 0.5, "forward_entry_time": 1000.25, "prefill_finished_time": 1001.0}}
    for said in told, [told, told]:
        account = Account({})
        account.thoughts.append(thought(sent=6.0))
        account.thought = said
        line = fields(account.line("a", CHATS, "finished", 200))
        assert (line["thinker_waited_s"], line["thinker_prefill_s"]) == ("0.500", "0.750")


def test_the_thinker_is_listened_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """What SGLang sends ahead for several choices is none of them."""

    async def answers(self: Any, request: GenerateReqInput, http: Any) -> Any:
        for rid in "ahead", "choice":
            self._wait_one_response(SimpleNamespace(rid=rid), http)
        yield "early"
        yield "late"

    monkeypatch.setattr(TokenizerManager, "generate_request", answers)
    monkeypatch.setattr(TokenizerManager, "_wait_one_response", lambda *_: None)
    manager = OmniTokenizerManager.__new__(OmniTokenizerManager)
    manager.rid_to_state = {"ahead": thought(sent=0.0), "choice": thought(sent=6.0)}
    account = Account({})
    http: Any = SimpleNamespace(state=SimpleNamespace(account=account, request_id="mine"))

    async def ask() -> None:
        said = manager.generate_request(GenerateReqInput(text="a"), http)
        assert (await anext(said), account.thought) == ("early", "early")
        assert (await anext(said), account.thought) == ("late", "late")  # where SGLang leaves a generator

    asyncio.run(ask())
    assert account.thoughts == [manager.rid_to_state["choice"]]


def test_speech(client: TestClient, log: pytest.LogCaptureFixture) -> None:
    client.post(SPEECHES, json={"input": "my secret"}, headers={"X-Request-Id": "mine"})
    (line,) = lines(log)
    assert line["request"].startswith("mine-")
    assert int(line["text_tokens"]) > 0
    assert (line["frames"], line["first_text_s"], line["outcome"]) == ("2", "-", "finished")
    assert line["talker_worked_s"] == "0.125"
    assert "thinker_s" not in line
    assert "secret" not in log.text


def test_the_items_of_a_batch_are_summed(client: TestClient, log: pytest.LogCaptureFixture) -> None:
    response = client.post(BATCHES, json={"items": [{"input": "one"}, {"input": "two"}]})
    (line,) = lines(log)
    assert line["request"] == response.headers["x-request-id"]
    assert (line["frames"], line["talker_waited_s"], line["talker_worked_s"]) == ("4", "0.500", "0.250")


def test_pieces_count_from_the_first_arrival_to_the_last_end() -> None:
    delivery = Delivery(24_000, ["talker"])
    for id, times in {"a.1": Times(105.0, 1.0, 2.0, 7.0, 4.0), "a": Times(100.0, 0.5, 0.75, 6.0, 5.0)}.items():
        piece = Speech()
        piece.usage, piece.times = {"talker": 10}, {"talker": times}
        delivery.made(id, piece)
    account = Account({})
    account.deliveries.append(delivery)
    line = fields(account.line("a", SPEECHES, "finished", 200))
    assert [line[f"talker_{name}"] for name in ("waited_s", "first_s", "s", "worked_s")] == [
        "1.500",
        "0.750",
        "12.000",
        "9.000",
    ]
    assert line["frames"] == "20"


def test_what_has_not_come_is_not_known() -> None:
    """Of a request that ended early: SGLang says 0."""
    account = Account({})
    account.thoughts.append(thought(sent=6.0))
    account.deliveries.append(Delivery(24_000, ["talker"]))
    line = fields(account.line("a", CHATS, "aborted", None))
    assert line["prepared_s"] == "1.000"
    unknown = {name for name, value in line.items() if value == "-"}
    assert unknown == {
        "status",
        *("first_text_s", "last_text_s", "first_audio_s", "last_audio_s", "real_time_factor"),
        *("thinker_waited_s", "thinker_prefill_s", "thinker_first_s", "thinker_s"),
        *("talker_waited_s", "talker_first_s", "talker_s", "talker_worked_s"),
    }


@pytest.mark.parametrize(
    ("path", "body", "route", "status"),
    [(CHATS, {}, CHATS, "400"), (SPEECHES, {"input": " "}, SPEECHES, "400"), ("/v1/nothing", {}, "none", "404")],
)
def test_a_refused_body_has_its_line(
    client: TestClient, log: pytest.LogCaptureFixture, path: str, body: Any, route: str, status: str
) -> None:
    id = client.post(path, json=body).headers["x-request-id"]
    (line,) = lines(log)
    total = line.pop("total_s")
    assert line == {"request": id, "route": route, "outcome": "refused", "status": status}
    assert 0 <= float(total) < 5


def test_other_methods_have_none(client: TestClient, log: pytest.LogCaptureFixture) -> None:
    client.get("/health")
    client.get("/v1/nothing")
    assert lines(log) == []


def test_what_failed_and_who_left(client: TestClient, fake: Fake, log: pytest.LogCaptureFixture) -> None:
    fake.pipeline.late_error = RequestFailed("the talker failed on this request")
    client.post(SPEECHES, json={"input": "hi"})
    client.post(CHATS, json={**ALOUD, "stream": True})
    fake.pipeline.late_error, fake.pipeline.forever = None, True
    asyncio.run(leave(fake.app, CHATS, {**ALOUD, "stream": True}, 3))
    said = lines(log)
    assert [line["outcome"] for line in said] == ["failed", "failed", "aborted"]
    assert [line["status"] for line in said] == ["500", "200", "200"]
    assert {line["real_time_factor"] for line in said} == {line["talker_s"] for line in said} == {"-"}
    assert all(float(line["audio_s"]) >= 0 for line in said)


def test_an_upload_does_not_count(fake: Fake, log: pytest.LogCaptureFixture) -> None:
    """The client's network is not the server's time."""

    async def scenario() -> None:
        parts = [{"type": "http.request", "body": b"}"}, {"type": "http.request", "body": b"{", "more_body": True}]

        async def receive() -> Any:
            await asyncio.sleep(0.2)
            return parts.pop()

        async def send(message: Any) -> None:
            pass

        scope = {"type": "http", "method": "POST", "path": CHATS, "query_string": b"", "headers": [], "app": fake.app}
        await fake.app(scope, receive, send)

    asyncio.run(scenario())
    (line,) = lines(log)
    assert line["status"] == "400"
    assert float(line["total_s"]) < 0.2
