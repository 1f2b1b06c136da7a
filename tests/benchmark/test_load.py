"""A load on a server whose answers, times and faults are known."""

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from statistics import median

import pytest

from sglang_omni.benchmark.__main__ import main
from sglang_omni.benchmark.adapters import ADAPTERS
from sglang_omni.benchmark.asking import Answer, Asker
from sglang_omni.benchmark.experiment import Experiment
from sglang_omni.benchmark.report import lines, page, write
from sglang_omni.benchmark.results import Point
from sglang_omni.benchmark.stub import DONE, Reply, Stub, at_once, event, sound
from sglang_omni.benchmark.workload import CHATS, SPEECHES, Line

CHAT = Line(CHATS, {"messages": [{"role": "user", "content": "Hi"}], "modalities": ["text", "audio"], "temperature": 0})
OTHER = Line(CHATS, {**CHAT.body, "messages": [{"role": "user", "content": "Ho"}]})
FREE = Line(CHATS, {**CHAT.body, "temperature": 1})
TOLERANCE = 0.12  # seconds: the machine may be busy
STEPS = (0.2, event(content="Hi")), (0.2, sound(0.6)), (0.4, sound(0.4)), (0.8, sound(1.0)), (0, event("stop"))


def load(experiment: Experiment, reply: Callable[[dict], Reply], timeout: float = 10) -> Stub:
    """Runs it against a stub."""
    stub = Stub(reply)

    async def run() -> None:
        async with stub.serve() as url, Asker(url, ADAPTERS["sgl-omni"], "stub", timeout=timeout) as asker:
            await experiment.run(asker)

    asyncio.run(run())
    return stub


def test_times_are_those_at_which_the_server_sent():
    experiment = Experiment([CHAT], [Point(clients=3)], requests=9, repeats=1, warm_up=0)
    load(experiment, lambda body: Reply(STEPS))
    (result,) = experiment.results
    assert not experiment.failed
    assert len(result.ran_dry) == len(result.answered) == 9
    figures = [answer.figures for answer in result.answered]
    assert median(each.first_token or 0 for each in figures) == pytest.approx(0.2, abs=TOLERANCE)
    assert median(each.first_audio or 0 for each in figures) == pytest.approx(0.4, abs=TOLERANCE)
    assert median(each.between_chunks[0] for each in figures) == pytest.approx(0.4, abs=TOLERANCE)
    assert median(each.between_chunks[1] for each in figures) == pytest.approx(0.8, abs=TOLERANCE)
    assert median(each.total for each in figures) == pytest.approx(1.6, abs=TOLERANCE)
    assert median(each.silence for each in figures) == pytest.approx(0.2, abs=TOLERANCE)
    assert all((each.audio, each.first_chunk) == pytest.approx((2.0, 0.6)) for each in figures)
    assert result.runs[0].seconds == pytest.approx(4.8, abs=3 * TOLERANCE)


def test_a_closed_load_has_as_many_requests_under_way_as_clients():
    experiment = Experiment([CHAT], [Point(clients=5)], requests=20, repeats=1)
    stub = load(experiment, lambda body: Reply([(0.02, event(content="a")), (0, sound(0.1)), (0, event("stop"))]))
    assert stub.most == 5
    assert len(stub.asked) == 5 + 20  # the warm-up is one for each client


def test_a_request_that_leaves_late_is_not_answered_sooner_for_it():
    async def ask_half_a_second_late() -> Answer:
        async with Stub(lambda body: at_once()).serve() as url, Asker(url, ADAPTERS["sgl-omni"]) as asker:
            return await asker.ask(CHAT, due=time.perf_counter() - 0.5)

    answer = asyncio.run(ask_half_a_second_late())
    assert answer.figures.first_token is not None
    assert 0.5 <= answer.late <= answer.figures.first_token < answer.figures.total


def test_an_open_load_does_not_wait_for_answers():
    experiment = Experiment([CHAT], [Point(rate=40)], requests=20, repeats=1, warm_up=0)
    stub = load(experiment, lambda body: Reply([(1.5, event(content="a")), (0, sound(0.1)), (0, event("stop"))]))
    assert stub.most == 20


def test_a_load_of_some_seconds_ends_then():
    experiment = Experiment([CHAT], [Point(clients=2), Point(rate=20)], seconds=0.3, repeats=1, warm_up=0)
    load(experiment, lambda body: Reply([(0.05, event(content="a")), (0, sound(0.1)), (0, event("stop"))]))
    assert all(0.2 < result.runs[0].seconds < 1.5 for result in experiment.results)
    assert all(len(result.answered) >= 2 for result in experiment.results)


FAULTS = {
    "HTTP 429": Reply([(0, b'{"error": {"message": "full"}}')], status=429, type="application/json"),
    "connection": Reply([(0, event(content="a"))], whole=False),
    "error event": Reply([(0, event(content="a")), (0, b'data: {"error": {"message": "the talker stopped"}}\n\n')]),
    "incomplete": Reply([(0, event(content="a")), (0, sound(0.1))]),
    "no sound": Reply([(0, event(content="a")), (0, event("stop"))]),
    "unreadable": Reply([(0, b"data: {\n\n")]),
    "timeout": Reply([(0, sound(0.1)), (2, event("stop"))]),
}


def test_every_fault_is_counted_by_its_kind_and_is_in_no_other_figure():
    replies = cycle([*FAULTS.values(), at_once()])
    experiment = Experiment([CHAT], [Point(clients=1)], requests=16, repeats=1, warm_up=0)
    load(experiment, lambda body: next(replies), timeout=0.5)
    (result,) = experiment.results
    assert result.errors == Counter(dict.fromkeys(FAULTS, 2))
    assert [len(answer.text.split()) for answer in result.answered] == [32, 32]
    spread = result.spread("sound of an answer (s)")
    assert spread is not None
    assert spread.least == spread.greatest == 5.12
    assert not experiment.failed


def test_sound_that_breaks_off_after_the_whole_text_is_no_answer():
    text_ends = event("stop").removesuffix(DONE)  # of some servers it does so before the sound
    experiment = Experiment([CHAT], [Point(clients=1)], requests=1, repeats=1, warm_up=0)
    load(experiment, lambda body: Reply([(0, event(content="a")), (0, text_ends), (0, sound(0.1))]))
    assert experiment.results[0].errors == Counter({"incomplete": 1})


def test_a_point_without_an_answer_fails():
    experiment = Experiment([CHAT], [Point(clients=1)], requests=3, repeats=2, warm_up=0)
    load(experiment, lambda body: FAULTS["HTTP 429"])
    assert experiment.failed == ["1 client: none of 6 requests was answered (6 of HTTP 429)"]


@pytest.mark.parametrize("changed", [at_once(tokens=31), at_once(chunks=[5.2])], ids=["text", "sound"])
def test_an_answer_under_load_must_be_the_one_its_request_got_alone(changed: Reply):
    asked: list[str] = []

    def reply(body: dict) -> Reply:
        asked.append(body["messages"][0]["content"] if body["temperature"] == 0 else "free")
        return changed if asked[-1] == "free" or (asked.count("Ho") == 3 and asked[-1] == "Ho") else at_once()

    experiment = Experiment([CHAT, OTHER, FREE], [Point(clients=1)], requests=9, repeats=1, warm_up=0, check_solo=True)
    load(experiment, reply)
    assert asked[:2] == ["Hi", "Ho"]
    answers = experiment.results[0].answers
    assert [answer.equal for answer in answers if answer.line is OTHER] == [True, False, True]
    assert [answer.equal for answer in answers if answer.line is CHAT] == [True] * 3
    assert [answer.equal for answer in answers if answer.line is FREE] == [None] * 3
    (why,) = experiment.failed
    assert why.startswith("1 client: 1 of 9 answers differ from what the same request got alone; the first has 5.")


def test_bare_sound_is_an_answer():
    body = Reply([(0, bytes(4801)), (0, bytes(4799))], type="audio/pcm")
    experiment = Experiment([Line(SPEECHES, {"input": "Hi"})], [Point(clients=1)], requests=2, repeats=1)
    load(experiment, lambda _: body)
    assert [answer.figures.audio for answer in experiment.results[0].answered] == [0.2, 0.2]


def test_the_report_holds_what_was_measured(tmp_path: Path):
    pytest.importorskip("matplotlib")
    line = Line(CHAT.path, CHAT.body, "mine.jsonl", 3)
    experiment = Experiment([line], [Point(clients=1), Point(clients=2)], requests=4, repeats=2, keep_sound=True)
    load(experiment, lambda body: at_once(tokens=1))
    experiment.transcribe(lambda sound: "a word")
    told = page(experiment.results, ["too bad"], {"date": "today"})
    assert told.startswith("| | |\n|---|---|\n| date | today |\n\n|  | 1 client | 2 clients |")
    assert "| sound of an answer (s) | 5.12 / 5.12 / 5.12 (5.12–5.12) | 5.12 / 5.12 / 5.12 (5.12–5.12) |" in told
    assert "| answers whose player ran dry | 0 of 8, 0.00 s | 0 of 8, 0.00 s |" in told
    assert "| errors | none | none |\n| word error rate | 100 % | 100 % |" in told
    assert "equal" not in told
    assert told.endswith("Failed: too bad.")

    write(tmp_path, "Load", told, experiment.results, {"date": "today"})
    rows = [json.loads(line) for line in (tmp_path / "requests.jsonl").read_text().splitlines()]
    assert rows == json.loads(json.dumps([*lines(experiment.results, {"date": "today"})]))
    assert [row["kind"] for row in rows] == ["facts"] + ["request"] * 16 + ["summary"] * 2
    assert rows[0]["date"] == "today"
    assert {(row["workload"], row["line"]) for row in rows[1:17]} == {("mine.jsonl", 3)}
    measured = [answer.figures.first_audio for answer in experiment.results[1].answers]
    assert [row["first_audio"] for row in rows if row["kind"] == "request" and row["clients"] == 2] == measured
    assert rows[-1]["first audio (s)"]["median"] == pytest.approx(sorted(measured)[3], rel=0.5)
    assert (tmp_path / "summary.md").read_text().startswith("# Load\n\n| | |")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "plot.svg").read_text()


@pytest.mark.parametrize(("command", "asked"), [([], []), (["load"], []), (["--rate", "2"], ["--rate", "2"])])
def test_without_a_name_it_is_a_load(monkeypatch: pytest.MonkeyPatch, command: list[str], asked: list[str]):
    heard: list[list[str]] = []
    monkeypatch.setattr("sglang_omni.benchmark.load.main", lambda arguments: heard.append(arguments) or 0)
    assert main(command) == 0
    assert heard == [asked]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--workload", "poems"], "there is no workload poems"),
        (["--concurrency", "0"], "0 is not more than 0"),
        (["--concurrency", "8", "--requests", "4"], "leaves some of 8 clients without any"),
        (["--extra", "[1]"], "is no JSON object"),
    ],
)
def test_options_that_make_no_sense_are_refused(arguments: list[str], why: str, capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit) as end:
        main(arguments)  # without a name they are those of `load`
    assert end.value.code == 2
    assert why in capsys.readouterr().err


def test_a_server_that_is_not_there_ends_the_command_with_a_reason():
    command = [sys.executable, "-m", "sglang_omni.benchmark", "--url", "http://127.0.0.1:9/v1/"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("http://127.0.0.1:9 lists no model, and --model names none: ConnectError")
