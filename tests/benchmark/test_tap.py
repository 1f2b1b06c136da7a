"""What the tap's benchmark asks, and when a first token has come."""

from typing import Any

import pytest

from sglang_omni.benchmark import tap
from sglang_omni.benchmark.tap import SPOKEN, Way, added, measure


def test_ways_take_turns_with_the_same_words_and_no_prompt_twice_at_one_server(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, dict[str, Any]]] = []

    class Client:
        def __init__(self, base_url: str, timeout: float):
            self.url = base_url

        def get(self, path: str) -> Any:
            return self

        def json(self) -> Any:
            return {"data": [{"id": self.url}]}

    def ask(client: Client, body: dict[str, Any]) -> tuple[float, int]:
        asked.append((client.url, body))
        return float(len(asked)), 50

    monkeypatch.setattr(tap.httpx, "Client", Client)
    monkeypatch.setattr(tap, "ask", ask)
    monkeypatch.setattr(tap, "WARM_UP", 1)
    times, tokens = measure([Way("a", SPOKEN), Way("a", order=1), Way("b")], words=30, pairs=2)
    assert tokens == 50
    assert times == [[4.0, 9.0], [5.0, 8.0], [6.0, 7.0]]
    prompts = [(url, body["messages"][0]["content"]) for url, body in asked]
    assert len({*prompts}) == len(prompts)
    spoken, text, silent = (prompt.split() for _, prompt in prompts[3:6])
    assert spoken == silent
    assert sorted(text) == sorted(spoken)
    assert ["modalities" in body for _, body in asked[3:6]] == [True, False, False]
    assert [body["model"] for _, body in asked[3:6]] == ["a", "a", "b"]


def test_what_is_added_is_by_pairs() -> None:
    assert added([1.1, 2.2, 3.3], [1, 2, 3]).startswith("+10.0% (median of pairs; half of them from +10.0%")
