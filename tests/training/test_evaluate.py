"""The evaluation's own arithmetic."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sglang_omni.benchmark.words import RATE
from training import held_out, sentences, sounds
from training.dialogue import TASKS
from training.evaluate import Answered, Floor, Results, Said, failed, open_text, page, written
from training.spelling import words


def said(part: str = "closed", voice: str = "ethan", errors: int = 0, **other: Any) -> Said:
    return Said(part, voice, "greedy", "One two.", "", errors, 2, 1.0, **other)


def test_a_rate_is_the_mean_over_voices_and_modes() -> None:
    results = Results([said(errors=1), said(errors=1), said(voice="chelsie"), said("open", errors=2)])
    assert results.error_rate("closed") == 25
    assert results.error_rate("open") == 100
    assert math.isnan(Results().error_rate("open"))


def test_the_last_line() -> None:
    right = [Answered("dialogue", "add", "", (), "", True), Answered("dialogue", "add", "", (), "", False)]
    seen = [Answered(part, "x", "", (), "", False) for part in ("vision", "video", "paraphrases", "spoken")]
    heard = [Answered("hearing", task, "", (), "", task == "digits") for task in ("digits", "commands", "questions")]
    results = Results([said(), said("open")], right + seen + heard)
    assert results.line == "open_wer=0.0 closed_wer=0.0 dialogue=50.0 vision=0.0 digits=50.0"


@pytest.mark.parametrize(
    ("seconds", "reason", "failure"),
    [(0.1, "stop", "empty"), (1.0, "stop", ""), (1.0, "length", "runaway"), (2.2, "stop", "runaway")],
)
def test_what_is_no_speech_at_all(seconds: float, reason: str, failure: str) -> None:
    sound = 0.1 * np.sin(np.arange(round(seconds * RATE)))
    assert failed("One two.", sound, reason) == failure
    assert failed("One two.", 0.01 * sound, reason) == "empty"


def test_a_change_of_colour_may_be_noticed_and_its_colours_not() -> None:
    answers = (
        "The colour changes from red to blue.",
        "The colour changes from red to red.",
        "The colour does not change.",
    )
    told = page(Results([], [Answered("video", "change", "", (), answer, i == 0) for i, answer in enumerate(answers)]))
    assert "| video | change | 3 | 33.3 % |" in told
    assert "| video | change, whatever colours | 3 | 66.7 % |" in told


def test_every_phrase_that_is_said_is_said_by_the_held_out_voices_too() -> None:
    assert sorted(words for group in held_out.SPOKEN.values() for words in group) == sorted(sounds.SPOKEN)


def test_paraphrases_are_twelve_of_every_task() -> None:
    items = held_out.paraphrases()
    assert Counter(item.task for item in items) == dict.fromkeys(TASKS, 12)
    assert len({item.messages[0]["content"] for item in items}) == len(items)


def test_the_page_says_how_each_voice_and_task_does() -> None:
    results = Results([said(errors=1, failure="runaway")], [Answered("vision", "colour", "", (), "", True)])
    results.floors.append(Floor("closed", "ethan", 4.25))
    told = page(results)
    assert "| closed | ethan | greedy | 1 | 50.0 % | 4.2 % | 0 | 1 |" in told
    assert "| vision | colour | 1 | 100.0 % |" in told


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    results = Results([said()], [Answered("vision", "colour", "", (), "", True)], [Floor("closed", "ethan", 4.25)])
    results.write(tmp_path / "results.jsonl")
    again = Results.read(tmp_path / "results.jsonl")
    assert (page(again), again.line) == (page(results), results.line)


def test_a_question_with_media_is_written_in_one_line() -> None:
    content = [{"type": "image_url", "image_url": {}}, {"type": "text", "text": "What is it?"}]
    assert written([{"role": "user", "content": content}]) == "<image_url> What is it?"


def test_open_text_is_sixty_different_plain_sentences() -> None:
    texts = open_text()
    assert len(set(texts)) == len(texts) == 60
    assert all(5 <= len(text.split()) <= 12 and text.endswith(".") for text in texts)


def test_closed_text_is_a_hundred_and_forty_different_texts_of_many_words() -> None:
    texts = sentences.closed_text()
    assert len(set(texts)) == len(texts) == 140
    assert len({word for text in texts for word in words(text)}) > 200  # of 241 that the domain has
