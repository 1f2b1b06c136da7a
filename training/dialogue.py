"""The small world that the demo model talks about, as data: questions in many wordings, and their answers.

A wording is a line like `(what is|how much is) <a> plus <b>`. Written out, every fifth wording of a task, chosen by a
hash, is held out: no training question is ever worded like it.
"""

import itertools
import random
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

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
    INFORMAL,
    NAME_QUESTIONS,
    OPPOSITE,
    PREFIXES,
    PREFIXES_OF_COMMANDS,
    PREFIXES_OF_QUESTIONS,
    REPEAT,
    REPEATED,
    SUFFIXES,
    THINGS,
    UNKNOWN_QUESTIONS,
)

Split = Literal["train", "held_out"]

NUMBERS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
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
OPPOSITES = (
    ("hot", "cold"),
    ("big", "small"),
    ("up", "down"),
    ("left", "right"),
    ("good", "bad"),
    ("black", "white"),
    ("day", "night"),
    ("yes", "no"),
    ("open", "closed"),
    ("fast", "slow"),
    ("happy", "sad"),
    ("old", "new"),
    ("long", "short"),
    ("high", "low"),
    ("light", "dark"),
    ("in", "out"),
    ("first", "last"),
    ("early", "late"),
    ("full", "empty"),
    ("hard", "soft"),
)
UNKNOWN = "I do not know."
NAME = "My name is Omni."


@dataclass(frozen=True)
class Question:
    """`accepted` are the answers that count as right, `answer` first."""

    task: str
    text: str
    answer: str
    accepted: tuple[str, ...]


def sentence(words: str, end: str = ".") -> str:
    """With a capital and a full stop."""
    return words[:1].upper() + words[1:] + end


def ask(rng: random.Random, split: Split) -> Question:
    """A question in text alone; every task is equally likely, except the larger ones."""
    task = rng.choices(list(TASKS), [weight for _, weight in TASKS.values()])[0]
    return ask_about(task, rng, split)


def ask_about(task: str, rng: random.Random, split: Split) -> Question:
    core, answer = TASKS[task][0](rng, split)
    return Question(task, _dress(core, rng, polite=task not in ("greeting", "repeat")), answer, (answer,))


def answers(rng: random.Random) -> str:
    """Any sentence that the model can answer with, about pictures, videos and sounds too."""
    kind = rng.choices(["text", "picture", "sound", "video"], [6, 2, 2, 1])[0]
    if kind == "picture":
        return rng.choice(list(picture_answers(rng.choice(COLOURS), rng.choice(SHAPES), rng.randint(1, 5)).values()))
    if kind == "video":
        before, after = rng.sample(COLOURS, 2)
        return video_answer(before, rng.choice([before, after, after]))
    if kind == "sound":
        digits = " ".join(rng.choice(NUMBERS[:10]) for _ in range(rng.randint(1, 5)))
        return heard(digits if rng.random() < 0.7 else rng.choice([*COMMANDS, *SPOKEN_QUESTIONS]))
    return ask(rng, "train").answer


COMMANDS = ("go forward", "go back", "stop", "turn left", "turn right", "start", "yes", "no")
"""What can be called out to the model that is no question: it says what it has heard."""


SPOKEN_QUESTIONS = {
    "what colour is it": "colour",
    "what colour are they": "colour",
    "what shape is it": "shape",
    "what shapes are they": "shape",
    "how many are there": "number",
    "what do you see": "scene",
    "hello": "Hello.",
    "good morning": "Good morning.",
    "goodbye": "Goodbye.",
    "thank you": "You are welcome.",
    "how are you": "I am fine, thank you.",
    "what is your name": NAME,
    "who are you": NAME,
    "count to three": "One, two, three.",
    "count to five": "One, two, three, four, five.",
    "what day comes after monday": "Tuesday comes after Monday.",
    "what day comes after friday": "Saturday comes after Friday.",
    "what is two plus three": "Two plus three is five.",
    "what is the opposite of hot": "The opposite of hot is cold.",
}
"""What can be asked by voice -> the answer, or what of the picture it asks about."""


def heard(words: str) -> str:
    return f"I hear {words}."


def plural(shape: str, number: int) -> str:
    return shape if number == 1 else shape + "s"


def picture_answers(colour: str, shape: str, number: int) -> dict[str, str]:
    """What can be asked of a picture of `number` equal objects, and the answers."""
    return {
        "colour": f"It is {colour}." if number == 1 else f"They are {colour}.",
        "shape": f"It is a {shape}." if number == 1 else f"They are {shape}s.",
        "number": "There is one." if number == 1 else f"There are {NUMBERS[number]}.",
        "scene": f"I see {NUMBERS[number]} {colour} {plural(shape, number)}.",
    }


def video_answer(before: str, after: str) -> str:
    return "The colour does not change." if before == after else f"The colour changes from {before} to {after}."


PICTURE_QUESTIONS = {
    "colour": (
        "(what|which) colour (is it|is this|is the object|are they|are these|do you see)",
        "(tell me|name) (the|its) colour",
        "what is (the|its) colour",
        "what colour is (the thing|the shape) (in|on) the picture",
        "(what|which) (main|) colour (is in|has) the picture",
        "(what|which) colour (has the object|is shown|can you see|does it have|would you call this|is that|are those)",
        "(what|which) colour (is|are) the (shape|object|thing|objects|shapes|things|figure|figures)",
        "(what is|tell me|name|say|give me) the colour (of it|of the object|of the shape|of this|you see|in the image)",
        "(its colour|the colour|colour|which colour|what colour|and the colour|and its colour)",
        "(how is it|how are they|how is the object) coloured",
        "in (what|which) colour (is it|are they) (painted|drawn|shown)",
    ),
    "shape": (
        "(what|which) shape (is it|is this|is the object|are they|are these|do you see)",
        "(tell me|name) (the|its) shape",
        "what is (the|its) shape",
        "(what|which) shape is in the picture",
        "what (kind|sort) of shape (is it|is this|do you see)",
        "(what|which) shapes (are they|are these|are there|do you see|can you see|are shown|are in the image)",
        "(what|which) shape (has the object|is shown|can you see|does it have|is that|is in the image|is drawn here)",
        "(what is|tell me|name|say|give me) the shape (of it|of the object|of this|you see|shown|in the image)",
        "(what|which) (form|figure|geometric shape) (is it|is this|does it have|do you see)",
        "(its shape|the shape|shape|which shape|what shape|and the shape|and its shape)",
        "what (type|kind|sort) of (figure|shape) is (that|shown|in the picture|in the image)",
        "is it a circle, a square, a triangle or a star",
    ),
    "number": (
        "how many (are there|are they|things are there|objects are there|shapes are there|do you see|can you see)",
        "how many (objects|shapes|things) (do you see|can you see|are in the picture|are there in the picture)",
        "count (them|the objects|the shapes|the things)",
        "(what is|tell me) the number of (objects|shapes|things)",
        "how many (objects|shapes|things|items|figures|of them) (can you count|do you count|are shown|are here|are "
        "in the image)",
        "(count|can you count) (the objects|the shapes|the things|everything|what you see|the items) (in the picture|"
        "here|)",
        "(what number|how great a number|how large a number) of (objects|shapes|things|items) (do you see|is there|"
        "can you see)",
        "(how many|how many in all|how many altogether|the number of objects|number of objects|and how many)",
        "(tell me|say) how many (there are|you see|objects there are|things you see|you can see|shapes there are)",
    ),
    "scene": (
        "what (do you see|can you see|do you see here|is in the picture|is in this picture|is this|is there)",
        "(describe|look at) (the|this) picture",
        "(tell me|say) what (you see|you can see|is in the picture|is there)",
        "what (is|do you see|can you see|is shown|is there) (in|on) (the|this) (image|photo|picture)",
        "(describe|explain|look at) (the|this) (image|photo|scene|drawing)",
        "(describe|tell me|say) what (you see|is in the image|is shown|the picture shows|is in the photo|you see here)",
        "what (does the picture show|does the image show|does this show|am I looking at|is shown here|is in it|is "
        "here)",
        "what (have we here|have I drawn|is visible|is that|can be seen here|is depicted|is on the screen)",
        "(give me|write|I need) a (description|caption) (of|for) (the|this) (picture|image)",
        "(take a look|have a look|look at this) and (tell me|say) what (you see|is there|it is)",
    ),
}
VIDEO_QUESTIONS = (
    "what (happens|happens here|changes|happens in the video|changes in the video|do you see in the video)",
    "(does|how does) the colour change",
    "(describe|look at) (the|this) video",
    "(tell me|say) what (happens|changes)",
    "(which|what) colour change do you see",
    "(does|did) (anything|something) change (in the clip|in the video|here|)",
    "what (is happening|is going on|changed|happened|is changing) (in this video|in the video|in the clip|here|)",
    "(describe|watch|explain) (the|this) (clip|video|film|movie)",
    "(what does|what do you see in) the (video show|clip show|clip|film)",
    "(tell me|say) what (changed|is happening|is going on|you see in the clip|happens in the video|changes in the "
    "clip)",
    "(how|in what way) does the (colour|object|shape) change (in the video|over time|)",
    "(what happens|what happened) to the (colour|object|colours)",
    "(is there|do you see|do you notice) (a change|any change|a colour change) (in the video|of colour|)",
    "(from which colour to which|from what colour to what) (does it change|does it turn|does it go)",
    "(does the object|does it|did it) (change its colour|change colour|keep its colour|turn another colour)",
)
SOUND_QUESTIONS = (
    "what (did I say|do I say|do you hear|can you hear|was said|have I said|did you hear)",
    "(which|what) (digits|numbers|words) (do you hear|did I say|can you hear|did you hear)",
    "(tell me|say|repeat) what (I said|you hear|I say|you heard)",
    "what is (said|heard) (here|in the sound|in this sound)",
    "listen (to this|to me|) and (tell me|say) what you hear",
    "what (was I saying|am I saying|is being said|is spoken|was spoken|was that|did they say|does the voice say)",
    "(which|what) (digits|numbers|words) (were said|were spoken|was I saying|are said|are spoken|have you heard)",
    "(write down|transcribe|type|note down) (what I said|what you hear|what was said|this sound|the audio|this "
    "recording)",
    "(transcribe|write down) (it|this|the sound|the words|the recording)",
    "what (is|do you hear|can you hear|was said) in (the|this) (recording|audio|voice message|sound)",
    "(did you hear|could you hear|have you understood|did you understand|did you catch) (what I said|me, what did I "
    "say)",
    "(tell me|say) what (was said|the voice says|is said|you could hear|I was saying|is in the recording)",
    "listen (carefully|closely|) and (write|repeat|report) what (you hear|I say)",
    "(the words in the recording|the words you hear|the spoken words|what is the voice saying|what words were those)",
)


def about(questions: tuple[str, ...], rng: random.Random, split: Split, plain: bool = False) -> str:
    """A question about a picture, a video or a sound."""
    return _dress(draw(questions, rng, split), rng, polite=not plain)


@cache
def wordings(lines: tuple[str, ...], split: Split, polite: bool = True) -> list[str]:
    """All that the lines stand for, of one split. A list too short to be split gives its last to the held-out one.
    What differs from a trained wording in nothing but punctuation is in neither split; nor, where wordings are made
    `polite`, what differs in a polite word before or behind."""
    written = sorted({wording for line in lines for wording in _written(line)})
    rare = [wording for wording in written if wording not in COMMON]
    held_out = [wording for wording in rare if zlib.crc32(wording.encode()) % 5 == 0] or rare[-1:]
    trained = [wording for wording in written if wording not in held_out]
    if split == "train":
        return trained
    known = {bare(wording, polite) for wording in trained}
    return [wording for wording in held_out if bare(wording, polite) not in known]


def bare(text: str, polite: bool = True) -> str:
    """In lower case and in full, without punctuation and, where it may be `polite`, without what `_dress` puts around
    it."""
    text = re.sub(r"[^a-z0-9<>'*/ ]", " ", text.lower().replace("+", " plus ").replace(" - ", " minus "))
    text = " ".join(INFORMAL.get(word.strip("'"), word.replace("'", "")) for word in text.split())
    if polite:
        before, behind = _dresses()
        text = behind.sub("", before.sub("", text))
    return text


@cache
def _dresses() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What can stand before and behind a question, bare."""
    prefixes, suffixes = (
        "|".join(sorted({bare(one, polite=False) for one in ones}, key=len, reverse=True))
        for ones in (BEFORE_ALL + BEFORE_COMMANDS + BEFORE_QUESTIONS, BEHIND)
    )
    return re.compile(rf"^(?:(?:{prefixes}) )+"), re.compile(rf"(?: (?:{suffixes}))+$")


def _written(line: str) -> list[str]:
    return [" ".join(wording.split()).replace(" ,", ",").replace(" :", ":") for wording in _write_out(line)]


def _write_out(line: str) -> list[str]:
    parts = [part[1:-1].split("|") if part[0] == "(" else [part] for part in re.findall(r"\([^)]*\)|[^(]+", line)]
    return ["".join(choice) for choice in itertools.product(*parts)]


def _each(lines: tuple[str, ...]) -> list[str]:
    return [one for line in lines for part in re.split(r"\|(?![^(]*\))", line) for one in _write_out(part)]


BEFORE_ALL, BEFORE_COMMANDS, BEFORE_QUESTIONS = map(_each, (PREFIXES, PREFIXES_OF_COMMANDS, PREFIXES_OF_QUESTIONS))
BEHIND = _each(SUFFIXES)
ASKING = re.compile(r"(what|which|how|who|whose|when|where|why)(s|'s)?\b")
COMMANDING = re.compile(
    r"(add|calculate|check|combine|compute|count|decide|define|describe|draw|enumerate|explain|find|give|identify|"
    r"introduce|list|look|name|print|read|recite|remind|repeat|say|share|show|solve|spell|state|sum|tell|translate|"
    r"work out|write)\b"
)

QUESTION = re.compile(
    r"\b(what|which|how|who|whose|when|where|why)(s|'s)?\b|, (right|correct)\b|=$|(^|[,:] )(please )?"
    r"(is|does|are|can|could|would|will|did|have you|has|was|may|should|do (you|I|we|they|the|people)) ",
    re.IGNORECASE,
)


def _dress(core: str, rng: random.Random, polite: bool = True) -> str:
    """Now and then a polite word before or after, capitals and punctuation or none."""
    if polite and rng.random() < 0.4:
        core = _prefix(core, rng) + core
    if polite and rng.random() < 0.2:
        core = f"{core}{rng.choice([', ', ' '])}{_hasty(rng.choice(BEHIND), rng)}"
    style = rng.random()
    end = "?" if QUESTION.search(core) else rng.choice([".", ".", "!", ""])
    if style < 0.1:
        return re.sub("[,:] ?", " ", core.lower()).strip()
    if style < 0.25:
        return core.lower()
    if style < 0.35:
        return sentence(core, "")
    if style < 0.5:
        return core.lower() + end
    return sentence(core, end)


def _prefix(core: str, rng: random.Random) -> str:
    fitting = BEFORE_COMMANDS if COMMANDING.match(core) else BEFORE_QUESTIONS if ASKING.match(core.lower()) else []
    if fitting and rng.random() < 0.5:
        between = " " if fitting is BEFORE_COMMANDS else rng.choice([" ", " ", ", ", ": "])
        return _hasty(rng.choice(fitting), rng) + between
    return _hasty(rng.choice(BEFORE_ALL), rng) + rng.choice([", ", ", ", " ", ": "])


HASTY = re.compile("|".join(rf"\b{words}\b" for words in sorted(set(INFORMAL.values()), key=len, reverse=True)), re.I)


def _hasty(words: str, rng: random.Random) -> str:
    """As people write in haste, now and then."""
    if rng.random() < 0.5:
        return words

    def shorter(found: re.Match[str]) -> str:
        ways = [short for short, long in INFORMAL.items() if long == found[0].lower()]
        kept = len(ways[0]) <= 2 or ways[0] in ("pls", "thx", "gonna", "wanna", "gotta")
        if rng.random() < (0.8 if kept else 0.3):
            return found[0]
        way = rng.choice(ways)
        return way[0].upper() + way[1:] if found[0][0].isupper() and "'" in way else way

    return HASTY.sub(shorter, words)


Task = Callable[[random.Random, Split], tuple[str, str]]


@cache
def _by_line(lines: tuple[str, ...], split: Split, polite: bool) -> tuple[list[list[str]], list[float]]:
    """The wordings of every line, and how often it is used: a line of many does not drown the others."""
    kept = set(wordings(lines, split, polite))
    found = [[wording for wording in _written(line) if wording in kept] for line in lines]
    found = [one for one in found if one]
    return found, [len(one) ** 0.5 for one in found]


def draw(lines: tuple[str, ...], rng: random.Random, split: Split, polite: bool = True) -> str:
    """A wording, in haste or in full."""
    found, weights = _by_line(lines, split, polite)
    return _hasty(rng.choice(rng.choices(found, weights)[0]), rng)


def _fill(lines: tuple[str, ...], rng: random.Random, split: Split, polite: bool = True, **values: str) -> str:
    core = draw(lines, rng, split, polite)
    for name, value in values.items():
        core = core.replace(f"<{name}>", value)
    return core


def _greeting(rng: random.Random, split: Split) -> tuple[str, str]:
    lines, answer = rng.choice(GREETINGS)
    return _fill(lines, rng, split, polite=False), answer


def _name(rng: random.Random, split: Split) -> tuple[str, str]:
    return _fill(NAME_QUESTIONS, rng, split), NAME


def _number(number: int, rng: random.Random) -> str:
    return str(number) if rng.random() < 0.25 else NUMBERS[number]


def counted(first: int, last: int) -> str:
    """`Two, three, four.`"""
    step = 1 if last >= first else -1
    return sentence(
        ", ".join(NUMBERS[first : last + 1] if step > 0 else NUMBERS[first : last - 1 if last else None : -1])
    )


def _count(rng: random.Random, split: Split) -> tuple[str, str]:
    kind = rng.random()
    if kind < 0.4:
        last = rng.randint(2, 10)
        return _fill(COUNT_UP, rng, split, b=_number(last, rng)), counted(1, last)
    if kind < 0.7:
        first = rng.choice([1, rng.randint(1, 9)])
        last = rng.randint(first + 1, 10 if first == 1 else min(first + 7, 12))
        words = _fill(COUNT_BETWEEN, rng, split, a=_number(first, rng), b=_number(last, rng))
        return words, counted(first, last)
    first = rng.randint(2, 10)
    if kind < 0.85:
        return _fill(COUNT_DOWN, rng, split, b=_number(first, rng)), counted(first, 1)
    last = rng.choice([1, rng.randint(1, first - 1)])
    words = _fill(COUNT_DOWN_BETWEEN, rng, split, a=_number(first, rng), b=_number(last, rng))
    return words, counted(first, last)


def added(a: int, b: int) -> str:
    return sentence(f"{NUMBERS[a]} plus {NUMBERS[b]} is {NUMBERS[a + b]}")


def _add(rng: random.Random, split: Split) -> tuple[str, str]:
    a, b = rng.randint(0, 10), rng.randint(0, 10)
    core = draw(ADD, rng, split)
    if re.search(r"<a> [a-z]+s\b.*<b>|<b> more", core):
        a, b = max(a, 2), max(b, 1)  # some apples
    words = [_number(a, rng), _number(b, rng)]
    if "<a> to <b>" in core:
        words = words[::-1]  # add three to two: two plus three
    for name, value in zip(("<a>", "<b>", "<n>", "<m>"), [*words, str(a), str(b)], strict=True):
        core = core.replace(name, value)
    return core, added(a, b)


def follows(a: str, b: str, after: bool) -> str:
    return sentence(f"{b} comes {'after' if after else 'before'} {a}")


def _neighbour(kind: str, words: list[str], rng: random.Random, split: Split) -> tuple[str, str]:
    after = rng.random() < 0.55
    if kind == "number":
        at = rng.randint(0, 19) if after else rng.randint(1, 20)
        shown = _number(at, rng)
    else:
        at = rng.randrange(len(words))
        shown = words[at]
    other = words[(at + (1 if after else -1)) % len(words)]
    lines = AFTER + AFTER_ONE[kind] if after else BEFORE + BEFORE_ONE[kind]
    return _fill(lines, rng, split, kind=kind, a=shown), follows(words[at], other, after)


def _day(rng: random.Random, split: Split) -> tuple[str, str]:
    if rng.random() < 0.25:
        lines, answer = rng.choice(CALENDAR)
        return _fill(lines, rng, split), answer
    return _neighbour("day", DAYS, rng, split)


def _month(rng: random.Random, split: Split) -> tuple[str, str]:
    return _neighbour("month", MONTHS, rng, split)


def _next_number(rng: random.Random, split: Split) -> tuple[str, str]:
    return _neighbour("number", NUMBERS, rng, split)


def _opposite(rng: random.Random, split: Split) -> tuple[str, str]:
    pair = rng.choice(OPPOSITES)
    a, b = pair if rng.random() < 0.5 else pair[::-1]
    return _fill(OPPOSITE, rng, split, a=a), f"The opposite of {a} is {b}."


def _compare(rng: random.Random, split: Split) -> tuple[str, str]:
    a, b = rng.sample(range(11), 2)
    answer = (
        f"Yes, {NUMBERS[a]} is more than {NUMBERS[b]}." if a > b else f"No, {NUMBERS[a]} is less than {NUMBERS[b]}."
    )
    return _fill(COMPARE, rng, split, a=_number(a, rng), b=_number(b, rng), n=str(a), m=str(b)), answer


NTH = [
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
]


def phrase(rng: random.Random) -> str:
    """Some words of the small world, for the model to repeat."""
    pair = rng.choice(OPPOSITES)
    values = {
        "c": rng.choice(COLOURS),
        "d": rng.choice(COLOURS),
        "s": rng.choice(SHAPES),
        "t": rng.choice(SHAPES),
        "n": rng.choice(NUMBERS[1:13]),
        "m": rng.choice(NUMBERS),
        "k": rng.choice(NUMBERS),
        "day": rng.choice(DAYS),
        "e": rng.choice(DAYS),
        "month": rng.choice(MONTHS),
        "nth": rng.choice(NTH),
        "side": rng.choice(["left", "right"]),
        "a": pair[0],
        "b": pair[1],
    }
    words = rng.choice(REPEATED)
    if "<n> <c>" in words and values["n"] == "one":
        values["n"] = "two"
    for name, value in values.items():
        words = words.replace(f"<{name}>", value)
    if rng.random() < 0.25:  # any order of words, so that it is heard rather than known
        pool = [*COLOURS, *SHAPES, *NUMBERS, *(word for pair in OPPOSITES for word in pair)]
        words = " ".join(rng.choice(pool) for _ in range(rng.randint(1, 4)))
    return words


def _repeat(rng: random.Random, split: Split) -> tuple[str, str]:
    words = phrase(rng)
    said = sentence(words, "") if rng.random() < 0.1 else words
    if rng.random() < 0.3:
        said = rng.choice(['"{}"', '"{}"', "'{}'", "“{}”"]).format(said)
    core = _fill(REPEAT, rng, split, polite=False, a=said)
    if bare(core, polite=False).endswith(" yes please") and words == "yes":
        return _repeat(rng, split)  # else it were "yes please" that is to be said
    return core, sentence(words)


UNKNOWN_THINGS = tuple(re.sub(r"\b(a|an|the|my) ", r"\1_", THINGS).split())


def _unknown(rng: random.Random, split: Split) -> tuple[str, str]:
    a, c = (thing.replace("_", " ") for thing in rng.sample(UNKNOWN_THINGS, 2))
    n, m = (_number(rng.randint(0, 20), rng) for _ in range(2))
    return _fill(UNKNOWN_QUESTIONS, rng, split, a=a, c=c, n=n, m=m, month=rng.choice(MONTHS)), UNKNOWN


TASKS: dict[str, tuple[Task, float]] = {
    "greeting": (_greeting, 1.0),
    "name": (_name, 1.0),
    "count": (_count, 1.5),
    "add": (_add, 2.5),
    "repeat": (_repeat, 3.0),
    "day": (_day, 1.5),
    "month": (_month, 1.5),
    "number": (_next_number, 1.0),
    "opposite": (_opposite, 1.5),
    "compare": (_compare, 1.0),
    "unknown": (_unknown, 2.5),
}
"""What is asked about -> who makes the questions, and how often they are asked."""
