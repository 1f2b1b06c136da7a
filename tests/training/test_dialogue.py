import random
import re

import pytest

from training.dialogue import (
    COLOURS,
    PICTURE_QUESTIONS,
    SHAPES,
    SOUND_QUESTIONS,
    SPOKEN_QUESTIONS,
    TASKS,
    VIDEO_QUESTIONS,
    Split,
    about,
    answers,
    ask,
    ask_about,
    bare,
    counted,
    picture_answers,
    video_answer,
    wordings,
)
from training.wordings import (
    ADD,
    AFTER,
    AFTER_ONE,
    BEFORE,
    BEFORE_ONE,
    CALENDAR,
    COMMON,
    COMPARE,
    COUNT_BETWEEN,
    COUNT_DOWN,
    COUNT_DOWN_BETWEEN,
    COUNT_UP,
    GREETINGS,
    NAME_QUESTIONS,
    OPPOSITE,
    REPEAT,
    UNKNOWN_QUESTIONS,
)

POLITE = (
    ADD,
    *(AFTER + more for more in AFTER_ONE.values()),
    *(BEFORE + more for more in BEFORE_ONE.values()),
    COMPARE,
    COUNT_BETWEEN,
    COUNT_DOWN,
    COUNT_DOWN_BETWEEN,
    COUNT_UP,
    NAME_QUESTIONS,
    OPPOSITE,
    SOUND_QUESTIONS,
    UNKNOWN_QUESTIONS,
    VIDEO_QUESTIONS,
    *PICTURE_QUESTIONS.values(),
    *(lines for lines, _ in CALENDAR),
)
LISTS = [(lines, True) for lines in POLITE] + [(lines, False) for lines in (REPEAT, *(one for one, _ in GREETINGS))]


@pytest.mark.parametrize(("lines", "polite"), LISTS)
def test_no_wording_is_both_trained_and_held_out(lines: tuple[str, ...], polite: bool) -> None:
    trained, held_out = wordings(lines, "train", polite), wordings(lines, "held_out", polite)
    assert trained
    assert held_out
    assert not {bare(wording, polite) for wording in trained} & {bare(wording, polite) for wording in held_out}
    assert not set(held_out) & COMMON


@pytest.mark.parametrize("lines", POLITE)
def test_no_polite_word_makes_a_held_out_question_a_trained_one(lines: tuple[str, ...]) -> None:
    rng = random.Random(0)
    trained, held_out = ({bare(about(lines, rng, split)) for _ in range(2000)} for split in ("train", "held_out"))
    assert not trained & held_out


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_no_question_has_two_answers(split: Split) -> None:
    rng, known = random.Random(0), dict[str, tuple[str, str]]()
    for _ in range(5000):
        question = ask(rng, split)
        for polite in (False, question.task not in ("greeting", "repeat")):
            before, answer = known.setdefault(bare(question.text, polite), (question.text, question.answer))
            assert answer == question.answer, (before, question.text)


@pytest.mark.parametrize("task", TASKS)
def test_every_task_asks_the_same_for_the_same_seed(task: str) -> None:
    asked = [[ask_about(task, random.Random(seed), "held_out") for seed in range(20)] for _ in range(2)]
    assert asked[0] == asked[1]
    assert len(set(asked[0])) > 10
    assert all(question.answer in question.accepted for question in asked[0])


def test_answers_are_sentences_of_few_words() -> None:
    rng = random.Random(0)
    said = {answers(rng) for _ in range(5000)}
    assert len(said) > 1000
    assert all(re.fullmatch(r"[A-Z][A-Za-z', ]*\.", answer) for answer in said)
    assert len({word for answer in said for word in re.findall(r"[a-z']+", answer.lower())}) < 300


def test_a_question_in_figures_is_answered_in_words() -> None:
    rng = random.Random(0)
    sums = [ask_about("add", rng, "train") for _ in range(200)]
    assert any(re.search(r"\d", question.text) for question in sums)
    assert not any(re.search(r"\d", question.answer) for question in sums)


def test_counting_goes_up_and_down() -> None:
    assert counted(1, 3) == "One, two, three."
    assert counted(3, 1) == "Three, two, one."


def test_one_object_is_spoken_of_in_the_singular() -> None:
    assert picture_answers("red", "circle", 1)["scene"] == "I see one red circle."
    assert picture_answers("red", "circle", 3)["scene"] == "I see three red circles."
    assert picture_answers("red", "circle", 3)["number"] == "There are three."


def test_a_colour_that_stays_is_no_change() -> None:
    assert video_answer("red", "red") == "The colour does not change."
    assert video_answer("red", "blue") == "The colour changes from red to blue."


def test_spoken_questions_about_pictures_have_answers() -> None:
    asked = {about for about in SPOKEN_QUESTIONS.values() if about in PICTURE_QUESTIONS}
    assert asked == set(PICTURE_QUESTIONS)
    assert set(picture_answers(COLOURS[0], SHAPES[0], 2)) == set(PICTURE_QUESTIONS)


def test_what_is_not_known_is_said_to_be_unknown() -> None:
    rng = random.Random(1)
    unknown = [question for question in (ask(rng, "train") for _ in range(500)) if question.task == "unknown"]
    assert {question.answer for question in unknown} == {"I do not know."}
