"""Words said and words heard."""

from pathlib import Path

import pytest
import soundfile

from sglang_omni.benchmark.words import edits, error_rate, recogniser, samples, words

DATA = Path(__file__).parents[1] / "data"


def test_case_punctuation_and_digits_make_no_difference():
    assert words("It’s ONE, two... 3!") == words("it's 1 Two three") == ["it's", "one", "two", "three"]


@pytest.mark.parametrize(
    ("said", "heard", "expected"),
    [("a b c", "a b c", 0), ("a b c", "a c", 1), ("a b", "a x b", 1), ("a b", "b a", 2), ("a b", "", 2), ("", "a", 1)],
)
def test_edits_are_the_fewest_words_to_change(said: str, heard: str, expected: int):
    assert edits(said.split(), heard.split()) == expected


def test_the_rate_is_of_all_words_together():
    assert error_rate([("a b c d", "a b c d"), ("x", "y z")]) == 2 / 5
    assert error_rate([("", "a")]) is None


@pytest.mark.parametrize(
    ("name", "text"),
    [("counting", "One two three four five six seven eight nine ten."), ("hello_world", "Hello world.")],
)
@pytest.mark.parametrize("rate", [16_000, 24_000])
def test_pocketsphinx_understands_clear_speech(name: str, text: str, rate: int):
    pytest.importorskip("pocketsphinx")
    from scipy.signal import resample_poly

    sound, recorded = soundfile.read(DATA / f"{name}.wav", dtype="float32")
    pcm = (resample_poly(sound, rate, recorded).clip(-1, 1) * 32767).astype("<i2").tobytes()
    hear = recogniser(None)
    assert error_rate([(text, hear(samples(pcm, rate)))]) == 0
    assert error_rate([("Something else was said here.", hear(samples(pcm, rate)))]) >= 1
