"""What is compared with transformers, and how it is told."""

from pathlib import Path

import pytest

from sglang_omni.benchmark import against_transformers
from sglang_omni.benchmark.against_transformers import Answer, Figure, add, measure, stages_at_work, table


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
