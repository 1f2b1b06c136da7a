import random
import re
import shutil
from pathlib import Path

import pytest

from training.sentences import _phrases, closed, closed_text, held_out, is_held_out, number, ordinal
from training.speech import UTTERANCES, sentences


def test_numbers_are_written_in_words() -> None:
    assert [number(n) for n in (0, 12, 20, 21, 100, 113, 480)] == [
        "zero",
        "twelve",
        "twenty",
        "twenty one",
        "one hundred",
        "one hundred and thirteen",
        "four hundred and eighty",
    ]
    assert [ordinal(n) for n in (1, 12, 20, 21, 30, 31)] == [
        "first",
        "twelfth",
        "twentieth",
        "twenty first",
        "thirtieth",
        "thirty first",
    ]


def test_nothing_held_out_is_said_within_anything_trained() -> None:
    rng = random.Random(0)
    trained = [closed(rng) for _ in range(4000)]
    tested = held_out(100, trained)
    assert len(set(tested)) == 100
    assert tested == held_out(100, trained)
    for text in tested:
        assert not any(_within(text, other) for other in trained), text
    joined = [text for text in tested if re.search("[.?] ", text)]
    assert 5 < len(joined) < 50  # about as often as in the domain


def test_a_sentence_that_is_kept_out_is_not_said_before_or_behind_another() -> None:
    rng = random.Random(3)
    said = {part for _ in range(4000) for part in re.split(r"(?<=[.?!]) ", closed(rng))}
    assert {_bare(part) for part in said if is_held_out(part)} <= set(map(_bare, _phrases()))


@pytest.mark.skipif(
    not (shutil.which("bible") and Path("/usr/share/dict/american-english-small").exists()),
    reason="what the recipe learns from needs bible-kjv and wamerican-small",
)
def test_the_texts_by_which_it_is_judged_are_not_in_what_the_recipe_says() -> None:
    trained = [text for _, text in sentences(UTTERANCES, seed=0)]
    texts = closed_text()
    assert len(set(texts)) == 140
    assert not [text for text in texts if any(_within(text, other) for other in trained)]


def _within(text: str, other: str) -> bool:
    """Whether the words of one are some of the other's, one behind the other."""
    said, heard = _bare(text).split(), _bare(other).split()
    return any(heard[i : i + len(said)] == said for i in range(len(heard) - len(said) + 1))


def _bare(text: str) -> str:
    return " ".join(re.findall("[a-z0-9']+", text.lower()))
