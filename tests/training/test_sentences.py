import random
import re
import shutil
from pathlib import Path

import pytest

from training.sentences import closed, closed_text, held_out, number, ordinal
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


@pytest.mark.skipif(
    not (shutil.which("bible") and Path("/usr/share/dict/american-english-small").exists()),
    reason="what the recipe learns from needs bible-kjv and wamerican-small",
)
def test_the_texts_by_which_it_is_judged_are_not_in_what_the_recipe_says() -> None:
    trained = [text for _, text in sentences(UTTERANCES, seed=0)]
    assert held_out(50, trained) == closed_text()  # if not, write closed_text.txt anew


def _within(text: str, other: str) -> bool:
    """Whether the words of one are some of the other's, one behind the other."""
    said, heard = (re.findall("[a-z0-9']+", one.lower()) for one in (text, other))
    return any(heard[i : i + len(said)] == said for i in range(len(heard) - len(said) + 1))
