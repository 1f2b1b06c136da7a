"""The law: pieces joined are the text, and none is longer than allowed."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sglang_omni.entrypoints.sentences import AFTER_CLAUSE, AFTER_SENTENCE, ELSEWHERE, pause_after, pieces
from sglang_omni.models.qwen3_omni.config import LONGEST_TEXT

TEXTS = st.text() | st.text("aB .,!?…。！？，\n3\u0301\u200d\U0001f1e9\U0001f468", max_size=300)


@given(text=TEXTS, longest=st.integers(1, 40))
@settings(max_examples=300)
def test_nothing_is_lost_and_nothing_is_too_long(text: str, longest: int) -> None:
    found = pieces(text, longest)
    assert "".join(found) == text
    assert all(len(piece) <= longest for piece in found)
    assert all(found) or found == [""]


@given(sentences=st.lists(st.integers(1, 120), min_size=1, max_size=60))
def test_pieces_end_with_sentences_and_are_of_a_size(sentences: list[int]) -> None:
    text = " ".join("A" + "b" * length + "." for length in sentences)
    found = pieces(text, 300)
    assert all(piece.endswith(". ") for piece in found[:-1])
    assert len(found) <= 1 + len(text) // 120
    assert all(len(piece) >= 75 for piece in found) or len(found) == 1


def test_an_ordinary_text_is_one_piece() -> None:
    text = "One. Two. " * 100
    assert len(text) == LONGEST_TEXT
    assert pieces(text, LONGEST_TEXT) == [text]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("This is the first. This is the second.", "This is the first. "),
        ("First, or so they say; second of all", "First, or so they say; "),
        ("Pi is 3.14159, more or less, as one says.", "Pi is 3.14159, "),
        ("He met Dr. Watson. Then he left him", "He met Dr. Watson. "),
        ("Say what you like, e.g. That thing, always", "Say what you like, "),
        ('"Is it so?" he said. "It is so!" she did', '"Is it so?" he said. '),
        ("words without any mark in between them", "words without any "),
        ("天气很好。我们去公园散步吧！你说呢？好。", "天气很好。我们去公园散步吧！"),
        ("吃葡萄不吐葡萄皮，不吃葡萄倒吐葡萄皮", "吃葡萄不吐葡萄皮，"),
        ("A line without an end\nand another line\n", "A line without an end\n"),
    ],
)
def test_where_a_text_is_cut(text: str, first: str) -> None:
    assert pieces(text, max(len(first), len(text) * 2 // 3))[0] == first


def test_numbers_stay_whole_where_they_can() -> None:
    text = "x1234.567" * 20
    found = pieces(text, 20)
    assert all(re.fullmatch("(x1234.567|1234.567|x)+", piece) for piece in found)
    assert "".join(pieces("1" * 100, 30)) == "1" * 100


@pytest.mark.parametrize(
    "character",
    ["e\u0301", "\U0001f1e9\U0001f1ea", "\U0001f468\u200d\U0001f469", "\U0001f44d\U0001f3fd", "\u1112\u1161\u11ab"],
)
def test_what_a_reader_sees_as_one_character_stays_whole(character: str) -> None:
    for piece in pieces(character * 100, 25):
        assert piece == character * (len(piece) // len(character))


def test_pauses() -> None:
    assert pause_after("The end. ") == pause_after("结束。") == pause_after("A title\n\n") == AFTER_SENTENCE
    assert pause_after("first, ") == pause_after("a line\n") == AFTER_CLAUSE
    assert pause_after("words ") == pause_after("3.") == pause_after("hal") == ELSEWHERE


@pytest.mark.parametrize("character", [" ", "\n", ".", "! ", "1", "\u0301", "\U0001f1e9", "\u200d", "a\n"])
def test_no_text_takes_long(character: str) -> None:
    text = (character * 4096)[:4096]
    begun = time.process_time()
    assert "".join(pieces(text, LONGEST_TEXT)) == text
    assert time.process_time() - begun < 0.5
