"""What is compared with transformers, and how it is told."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from sglang_omni.benchmark import against_transformers
from sglang_omni.benchmark.against_transformers import Answer, Figure, add, main, measure, stages_at_work, table


def test_batches_are_timed_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(against_transformers, "SETTLE_SECONDS", 0)
    order: list[str] = []

    def run(name: str) -> list[Answer]:
        order.append(name)
        return [Answer(f"{name} {len(order)}", 1.0, f"chatcmpl-{len(order)}")]

    figures = measure({name: lambda name=name: run(name) for name in ("theirs", "ours")}, 3)
    assert order == ["theirs", "ours"] * 3
    assert [answer.text for answer in figures["ours"].answers] == ["ours 6"]
    assert figures["ours"].ids == {"chatcmpl-2", "chatcmpl-4", "chatcmpl-6"}


def test_the_table_ends_with_the_ratios() -> None:
    said = [Answer("Hi", 2.0), Answer("Ho", 3.0)]
    figures = {
        "transformers, alone": Figure(2.0, said[:1], frozenset()),
        "transformers, 2 one by one": Figure(4.0, said, frozenset()),
        "sglang-omni, alone": Figure(0.5, said[:1], frozenset()),
        "sglang-omni, 2 at once": Figure(0.4, [said[0], Answer("other", 3.0)], frozenset()),
    }
    *rows, agreement, last = table(figures, 2)
    assert rows[1] == "transformers, 2 one by one         4.00 s for   5.00 s of audio"
    assert (agreement, last) == ("same text as transformers: 1 of 2", "speedup: alone 4.0x, concurrent 10.0x")


def test_the_stages_work_is_that_of_the_answers_alone() -> None:
    line = "INFO [account] ended request={} total_s={} talker_worked_s={} code2wav_worked_s=0.100"
    ended = [line.format("a", 0.4, 0.2), line.format("b", 9.0, 9.0), line.format("c", 0.8, 0.4)]
    log = "\n".join(["INFO another", *ended])
    told = "of an answer alone, 0.60 s   talker 0.30 s, code2wav 0.10 s: the busier one 50%"
    assert stages_at_work(log, {"a", "c"}) == told
    assert stages_at_work(log, {"d"}) == "of an answer alone: the server has logged none"


def test_a_page_takes_one_model_after_another(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    for name in "demo", "middle":
        add(page, name, {"command": "sgl-omni bench"}, ["a", "b"])
    head = "| | |\n|---|---|\n| command | `sgl-omni bench` |"
    sections = [f"## {name}\n\n{head}\n\n```\na\nb\n```\n" for name in ("demo", "middle")]
    assert page.read_text() == "# Spoken answers against transformers\n\n" + "\n".join(sections)


LINE = "INFO [x] ended request={} total_s=0.5 talker_worked_s=0.1 code2wav_worked_s=0.2"


@pytest.mark.parametrize(("device", "arguments"), [("cpu", []), ("cuda", []), ("cuda", ["--url", "http://there"])])
def test_on_a_gpu_a_server_starts_when_transformers_is_done(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, device: str, arguments: Sequence[str]
) -> None:
    order: list[str] = []

    class Asked:
        parameters, dtype = 10**6, "float32"

        def __init__(self, where: str, tokens: int):
            self.device, self.name = device, "ours" if where == "http://there" else "theirs"

        def answer(self, question: str) -> Answer:
            order.append(self.name)
            return Answer(question, 1.0, f"chatcmpl-{len(order)}")

        def choose_threads(self) -> int:
            return 1

    @contextmanager
    def serve(asked: Sequence[str]) -> Iterator[SimpleNamespace]:
        order.append("a server starts")
        log = "\n".join(LINE.format(f"chatcmpl-{number}") for number in range(99))
        yield SimpleNamespace(url="http://there", output=lambda: log, process=SimpleNamespace(pid=1))

    for name, fake in {"Transformers": Asked, "Client": Asked, "serve": serve, "SETTLE_SECONDS": 0}.items():
        monkeypatch.setattr(against_transformers, name, fake)
    monkeypatch.setattr(against_transformers, "cpu_times", lambda *_: "CPU time")
    page = tmp_path / "page.md"
    few = ["--model-path", "dir/model", "--concurrency", "1", "--repeats", "2", "--output", str(page)]
    assert main([*few, *arguments]) == 0
    turns = ["theirs"] * 2 + ["ours"] * 2  # alone, and all
    expected = {
        "cpu": ["theirs", "a server starts", "ours", *turns, *turns],
        "cuda": ["theirs", *turns[:2] * 2, "a server starts", "ours", *turns[2:] * 2],
    }
    assert order == (["theirs", "ours", *turns, *turns] if arguments else expected[device])
    told = page.read_text()
    assert "| model | model, 1.0 million parameters, float32 |" in told
    assert ("code2wav 0.20 s: the busier one 40%\nCPU time\nspeedup: " in told) == (not arguments)
