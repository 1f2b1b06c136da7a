"""What the demo's talker learns to say: sentences of a small domain, and open English."""

import random
import re
import shutil
import subprocess
import zlib
from collections.abc import Iterable
from functools import cache
from importlib import resources
from pathlib import Path

from training.errors import MissingTool

UNITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
TEENS = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
ORDINALS = [
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
    "seventeenth",
    "eighteenth",
    "nineteenth",
    "twentieth",
]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
COLOURS = ["red", "green", "blue", "yellow", "orange", "purple", "black", "white"]
SHAPES = ["circle", "square", "triangle", "star"]
HALVES = ["morning", "afternoon", "evening", "night"]

PHRASES = """
Hello. | Hello, how are you? | Hi there. | Good morning. | Good afternoon. | Good evening. | Good night. | Goodbye.
See you soon. | See you later. | See you tomorrow. | Thank you. | Thank you very much. | You are welcome. | Yes. | No.
Yes, please. | No, thank you. | Yes, it is. | No, it is not. | Yes, I can. | No, I cannot. | Please. | I am sorry.
I am fine, thank you. | I am well, and how are you? | I am very well today. | Nice to meet you. | My name is Omni.
I am Omni, and I can see, hear and speak. | How can I help you? | I do not know. | I am sorry, I do not know.
Have a nice day. | Have a good evening. | Please wait a moment. | One moment, please. | That is right. | That is wrong.
Please say it again. | I can hear you. | I can see it. | I cannot see it. | What is your name? | How are you today?
What time is it? | What day is it today? | Go forward. | Stop. | Turn left. | Turn right. | Come back. | Let us go.
The door is open. | The window is closed. | The answer is yes. | The answer is no. | I hear nothing. | I see nothing.
Welcome to the demo. | Hello from the demo. | Hello world. | It is warm today. | It is cold outside. | I hear music.
The sun is shining. | It is raining. | The train is late. | I like this picture. | This is a good question.
"""

BETWEEN = ["", ""] + [
    f"{words} "
    for words in ("the", "a", "and", "of the", "to", "in the", "is", "was", "for", "with", "he", "she", "we", "my")
]

ONE_IN = 20
"""One sentence of this many is kept out of training, by its hash."""


def is_held_out(text: str) -> bool:
    return zlib.crc32(re.sub(r"[^a-z0-9 ]", "", text.lower()).encode()) % ONE_IN == 0


def number(n: int) -> str:
    """0 to 999,999 in words."""
    if n < 20:
        return (UNITS + TEENS)[n]
    if n < 100:
        return TENS[n // 10 - 2] + (f" {UNITS[n % 10]}" if n % 10 else "")
    size, name = (100, "hundred") if n < 1000 else (1000, "thousand")
    rest = f" {'and ' if n % size < 100 else ''}{number(n % size)}" if n % size else ""
    return f"{number(n // size)} {name}{rest}"


def ordinal(n: int) -> str:
    """1 to 31: `twenty first`."""
    if n <= 20:
        return ORDINALS[n - 1]
    return "thirtieth" if n == 30 else f"{TENS[n // 10 - 2]} {ORDINALS[n % 10 - 1]}"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def _digits(rng: random.Random) -> str:
    said = rng.choices(UNITS, k=rng.randint(2, 7))
    return _sentence(rng.choice([" ", " ", ", "]).join(said))


def _counting(rng: random.Random) -> str:
    first = rng.randint(0, 15)
    counted = ", ".join(map(number, range(first, first + rng.randint(3, 8))))
    return _sentence(rng.choice(["Count to five: ", "", "", "I count "]) + counted)


def _number(rng: random.Random) -> str:
    n = rng.choice([rng.randint(0, 20), rng.randint(0, 99), rng.randint(0, 99), rng.randint(0, 999)])
    shapes = "{}", "The number is {}", "It is {}", "The answer is {}", "There are {}", "I have {}", "You said {}"
    shape = rng.choice(shapes)
    return _sentence(shape.format(number(n)))


def _sum(rng: random.Random) -> str:
    a, b = rng.randint(0, 20), rng.randint(0, 20)
    if rng.random() < 0.5 or a < b:
        return _sentence(f"{number(a)} plus {number(b)} is {number(a + b)}")
    return _sentence(f"{number(a)} minus {number(b)} is {number(a - b)}")


def _time(rng: random.Random) -> str:
    hour = number(rng.randint(1, 12))
    minute = rng.choice([number(rng.randint(1, 59)), number(5 * rng.randint(2, 11))])
    few = rng.choice(["five", "ten", "twenty"])
    shapes = "{hour} o'clock", "half past {hour}", "a quarter past {hour}", "a quarter to {hour}", "{hour} {minute}"
    shape = rng.choice([*shapes, "{few} past {hour}", "{few} to {hour}"])
    clock = shape.format(hour=hour, minute=minute, few=few)
    part = rng.choice(["", "", " in the morning", " in the evening", " at night" if "o'clock" in clock else ""])
    frames = "It is {}", "The time is {}", "The train leaves at {}", "See you at {}", "At {}"
    return _sentence(rng.choice(frames).format(clock + part))


def _date(rng: random.Random) -> str:
    day, month = rng.choice(DAYS), rng.choice(MONTHS)
    date = f"the {ordinal(rng.randint(1, 31))} of {month}"
    next_day, next_month = DAYS[(DAYS.index(day) + 1) % 7], MONTHS[(MONTHS.index(month) + 1) % 12]
    return rng.choice(
        [
            f"Today is {day}, {date}.",
            f"It is {day}.",
            f"Tomorrow is {day}.",
            f"Yesterday was {day}.",
            f"On {day}, {date}.",
            f"The day after {day} is {next_day}.",
            f"The month after {month} is {next_month}.",
            f"It is {date}.",
            f"See you on {day} {rng.choice(HALVES)}.",
            f"{month} comes before {next_month}.",
        ]
    )


def _things(rng: random.Random) -> str:
    n, colour, shape = rng.randint(1, 6), rng.choice(COLOURS), rng.choice(SHAPES)
    if n == 1:
        return f"{'an' if colour == 'orange' else 'a'} {colour} {shape}"
    return f"{number(n)} {colour} {shape}s"


def _picture(rng: random.Random) -> str:
    colour, other, shape = rng.choice(COLOURS), rng.choice(COLOURS), rng.choice(SHAPES)
    return rng.choice(
        [
            f"I see {_things(rng)}.",
            f"I can see {_things(rng)} and {_things(rng)}.",
            f"It is {colour}.",
            f"The {shape} is {colour}.",
            f"The {shape}s are {colour}.",
            f"The colour is {colour}.",
            f"The colour changes from {colour} to {other}.",
            f"There are {number(rng.randint(2, 9))} {shape}s.",
            f"It is a {shape}.",
            f"The picture is {colour}.",
        ]
    )


def _phrase(rng: random.Random) -> str:
    return rng.choice(_phrases())


@cache
def _phrases() -> list[str]:
    return [phrase.strip() for line in PHRASES.split("\n") for phrase in line.split("|") if phrase.strip()]


def _dialogue(rng: random.Random) -> str:
    from training.dialogue import answers

    return answers(rng)


def _casual(rng: random.Random, text: str) -> str:
    """The same words, sometimes written in the way of someone in a hurry."""
    chance = rng.random()
    if chance < 0.08:
        return text.rstrip(".")
    if chance < 0.14:
        return text[0].lower() + text[1:]
    return text.lower() if chance < 0.18 else text


KINDS = [_digits, _counting, _number, _sum, _phrase] + 2 * [_time, _date, _picture, _dialogue]


def _drawn(rng: random.Random) -> tuple[str, bool]:
    """One or two sentences of the domain, and whether they are kept out of training: one of them is, or, of two that
    are phrases, both together."""
    while True:
        parts = [rng.choice(KINDS)(rng) for _ in range(2 if rng.random() < 0.12 else 1)]
        text = " ".join(parts)
        if len(text) <= 110:
            made = [part for part in parts if part not in _phrases()] or ([text] if len(parts) > 1 else [])
            return text, any(map(is_held_out, made))


def closed(rng: random.Random) -> str:
    """A text of the domain, of those that are in training."""
    while True:
        text, is_kept = _drawn(rng)
        if not is_kept:
            return _casual(rng, text)


PATIENCE = 200_000
"""Texts in which new words are looked for."""


def held_out(n: int, trained: Iterable[str], seed: int = 1) -> list[str]:
    """`n` different texts of the domain that are kept out of training, and whose words are in none of the `trained`
    texts one behind the other. Half of them as they come, the others for words that were not among them."""
    rng, texts, heard = random.Random(f"held out {seed}"), dict[str, None](), set[str]()
    known = "".join(f" {_words_only(text)} |" for text in trained)
    tries = 0
    while len(texts) < n:
        text, is_kept = _drawn(rng)
        tries += 1
        new = set(_words_only(text).split()) - heard
        if is_kept and (len(texts) < n // 2 or new or tries > PATIENCE) and f" {_words_only(text)} " not in known:
            texts[text] = None
            heard |= new
    return list(texts)


def closed_text() -> list[str]:
    """140 that are held out, by which the recipe is judged: none is within what it says to learn from, nor within
    what the shipped weights learned from."""
    return resources.files("training").joinpath("closed_text.txt").read_text().splitlines()


def _words_only(text: str) -> str:
    return " ".join(re.sub(r"[^a-z0-9' ]", " ", text.lower()).split())


def opened(rng: random.Random) -> str:
    """Open English: a clause of the King James Bible, or words of a dictionary in a row; never a held-out sentence."""
    while True:
        text = rng.choice(_clauses()) if rng.random() < 0.55 else _words_in_a_row(rng)
        if not is_held_out(text):
            return text


def _words_in_a_row(rng: random.Random) -> str:
    words = rng.choices(_words(), k=rng.randint(3, 6))
    for i in range(1, len(words)):
        words[i] = rng.choice(BETWEEN) + words[i]
    return _sentence(rng.choice(["the ", "a ", "", "", "I ", "you "]) + " ".join(words))


@cache
def _words() -> list[str]:
    file = Path("/usr/share/dict/american-english-small")
    if not file.exists():
        raise MissingTool("the dictionary of open English", "wamerican-small")
    return [word for word in file.read_text().split() if re.fullmatch("[a-z]{2,11}", word)]


@cache
def _clauses() -> list[str]:
    """Of the Bible's verses and the tokenizer's page, each of 3 to 15 words and at most 100 characters."""
    if shutil.which("bible") is None:
        raise MissingTool("the King James Bible", "bible-kjv")
    verses = subprocess.run(["bible", "-f", "gen1:1-rev22:21"], check=True, capture_output=True, text=True).stdout
    text = re.sub(r"(?m)^\S+ ", "", verses).replace("LORD", "Lord")
    page = resources.files("sglang_omni.models.qwen3_omni.demo").joinpath("corpus.txt").read_text()
    found = []
    for verse in [*page.split("\n") * 20, *text.split("\n")]:
        for clause in re.split(r"(?<=[.;:?!])\s+", verse):
            clause = re.sub(r"[();:\[\]]", "", clause).strip()
            if 3 <= len(clause.split()) <= 15 and len(clause) <= 100 and not re.search(r"[^A-Za-z ,.?!']", clause):
                found.append(_sentence(clause.rstrip(",. ")) if clause[-1] not in "?!" else clause)
    return found
