import random

from training.sentences import closed, held_out, is_held_out, number, ordinal


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


def test_no_sentence_of_the_training_is_held_out() -> None:
    rng = random.Random(0)
    kept = {text.lower().rstrip(".") for text in (closed(rng) for _ in range(4000))}
    tested = held_out(100)
    assert len(set(tested)) == 100
    assert all(is_held_out(text) for text in tested)
    assert not kept & {text.lower().rstrip(".") for text in tested}


def test_the_held_out_sentences_are_always_the_same() -> None:
    assert held_out(20) == held_out(20)
