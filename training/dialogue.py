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
    ),
    "shape": (
        "(what|which) shape (is it|is this|is the object|are they|are these|do you see)",
        "(tell me|name) (the|its) shape",
        "what is (the|its) shape",
        "(what|which) shape is in the picture",
        "what (kind|sort) of shape (is it|is this|do you see)",
    ),
    "number": (
        "how many (are there|are they|things are there|objects are there|shapes are there|do you see|can you see)",
        "how many (objects|shapes|things) (do you see|can you see|are in the picture|are there in the picture)",
        "count (them|the objects|the shapes|the things)",
        "(what is|tell me) the number of (objects|shapes|things)",
    ),
    "scene": (
        "what (do you see|can you see|do you see here|is in the picture|is in this picture|is this|is there)",
        "(describe|look at) (the|this) picture",
        "(tell me|say) what (you see|you can see|is in the picture|is there)",
    ),
}
VIDEO_QUESTIONS = (
    "what (happens|happens here|changes|happens in the video|changes in the video|do you see in the video)",
    "(does|how does) the colour change",
    "(describe|look at) (the|this) video",
    "(tell me|say) what (happens|changes)",
    "(which|what) colour change do you see",
)
SOUND_QUESTIONS = (
    "what (did I say|do I say|do you hear|can you hear|was said|have I said|did you hear)",
    "(which|what) (digits|numbers|words) (do you hear|did I say|can you hear|did you hear)",
    "(tell me|say|repeat) what (I said|you hear|I say|you heard)",
    "what is (said|heard) (here|in the sound|in this sound)",
    "listen (to this|to me|) and (tell me|say) what you hear",
)


def about(questions: tuple[str, ...], rng: random.Random, split: Split, plain: bool = False) -> str:
    """A question about a picture, a video or a sound."""
    return _dress(rng.choice(wordings(questions, split)), rng, polite=not plain)


COMMON = frozenset(
    [
        "hello",
        "hi",
        "good morning",
        "good evening",
        "good night",
        "goodbye",
        "bye",
        "thank you",
        "thanks",
        "how are you",
        "what is your name",
        "who are you",
        "count to <b>",
        "count from <a> to <b>",
        "what is <a> plus <b>",
        "what is <n> + <m>",
        "<a> plus <b>",
        "what <kind> comes after <a>",
        "what <kind> comes before <a>",
        "what is the opposite of <a>",
        "is <a> more than <b>",
        "repeat after me: <a>",
        "say <a>",
        "what colour is it",
        "what colour is this",
        "what shape is it",
        "how many are there",
        "how many do you see",
        "what do you see",
        "what is this",
        "what happens",
        "what did I say",
        "what do you hear",
    ]
)
"""The wordings that come to mind first; they are never held out."""


@cache
def wordings(lines: tuple[str, ...], split: Split, polite: bool = True) -> list[str]:
    """All that the lines stand for, of one split. A list too short to be split gives its last to the held-out one.
    What differs from a trained wording in nothing but punctuation is in neither split; nor, where wordings are made
    `polite`, what differs in a polite word before or behind."""
    written = sorted({" ".join(wording.split()) for line in lines for wording in _write_out(line)})
    rare = [wording for wording in written if wording not in COMMON]
    held_out = [wording for wording in rare if zlib.crc32(wording.encode()) % 5 == 0] or rare[-1:]
    trained = [wording for wording in written if wording not in held_out]
    if split == "train":
        return trained
    known = {bare(wording, polite) for wording in trained}
    return [wording for wording in held_out if bare(wording, polite) not in known]


def bare(text: str, polite: bool = True) -> str:
    """In lower case, without punctuation and, where it may be `polite`, without what `_dress` puts around it."""
    text = " ".join(re.sub(r"[^a-z0-9<>' ]", " ", text.lower()).split())
    if polite:
        for prefix in sorted(PREFIXES, key=len, reverse=True):
            text = text.removeprefix(f"{prefix.lower()} ")
        for suffix in SUFFIXES:
            text = text.removesuffix(f" {suffix.lower()}")
    return text


def _write_out(line: str) -> list[str]:
    parts = [part[1:-1].split("|") if part[0] == "(" else [part] for part in re.findall(r"\([^)]*\)|[^(]+", line)]
    return ["".join(choice) for choice in itertools.product(*parts)]


PREFIXES = ("please", "hey", "hey Omni", "Omni", "tell me", "can you tell me", "so", "now", "well", "please tell me")
SUFFIXES = ("please", "Omni", "now", "my friend")


def _dress(core: str, rng: random.Random, polite: bool = True) -> str:
    """Now and then a polite word before or after, capitals and punctuation or none."""
    if polite and rng.random() < 0.4:
        prefix = rng.choice(PREFIXES)
        command = core.split()[0] not in ["what", "which", "how", "who", "when", "is", "does", "are"]
        if not (command and prefix.endswith("me")):
            core = f"{prefix}{rng.choice([', ', ' '])}{core}"
    if polite and rng.random() < 0.2:
        core = f"{core}{rng.choice([', ', ' '])}{rng.choice(SUFFIXES)}"
    style = rng.random()
    if style < 0.2:
        return core.lower()
    if style < 0.3:
        return sentence(core, "")
    asks = re.search(r"\b(what|which|how|who|when|is|does|can)\b", core.lower())
    return sentence(core, "?" if asks else rng.choice([".", ".", "!", ""]))


Task = Callable[[random.Random, Split], tuple[str, str]]


def _fill(lines: tuple[str, ...], rng: random.Random, split: Split, polite: bool = True, **values: str) -> str:
    core = rng.choice(wordings(lines, split, polite))
    for name, value in values.items():
        core = core.replace(f"<{name}>", value)
    return core


GREETINGS = (
    (
        (
            "(hello|hi|hey) (Omni|there|you|my friend|)",
            "(hello|hi) hello",
            "(hello|hi) dear Omni",
            "(hello|hi|hey) (again|everyone|dear friend|you there|to you)",
        ),
        "Hello.",
    ),
    (("(good morning|a good morning|a very good morning) (Omni|to you|my friend|dear friend|)",), "Good morning."),
    (("(good evening|a good evening|a very good evening) (Omni|to you|my friend|dear friend|)",), "Good evening."),
    (("(good night|a good night|a very good night) (Omni|to you|my friend|dear friend|)",), "Good night."),
    (("(goodbye|bye|bye bye|see you|see you later|see you soon) (Omni|my friend|now|)",), "Goodbye."),
    (
        (
            "(thank you|thanks|many thanks|thank you very much) (Omni|my friend|for that|)",
            "(thank you|thanks) (so much|again|a lot|very much indeed) (Omni|my friend|for that|)",
        ),
        "You are welcome.",
    ),
    (
        (
            "(how are you|how do you feel|are you well|are you fine) (today|now|Omni|)",
            "(hello|hi) how are you (Omni|)",
            "(hello|hi|hey) (Omni|there|you|my friend|) (how are you|are you well) (today|)",
        ),
        "I am fine, thank you.",
    ),
)


def _greeting(rng: random.Random, split: Split) -> tuple[str, str]:
    lines, answer = rng.choice(GREETINGS)
    return _fill(lines, rng, split, polite=False), answer


NAME_QUESTIONS = (
    "(what is|what's|tell me|say) your name",
    "who (are you|am I talking to|is this|is speaking|is here|is there|is that|is talking|speaks to me)",
    "(whose voice is this|who is this voice|who is this speaking)",
    "what (are you called|should I call you|can I call you|do I call you|do they call you)",
    "(do you have|have you) a name",
    "how (are you called|do I call you)",
    "(may|can) I (know|have|ask) your name",
    "what name (do you have|have you)",
)


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


COUNT_UP = (
    "(count|please count|can you count|start to count|you count|let us count) (to|up to|until|as far as) <b>",
    "(say|tell me|name|list) the numbers (to|up to|until) <b>",
    "(say|tell me|name|list) the first <b> numbers",
    "count the numbers (to|up to) <b>",
)
COUNT_BETWEEN = (
    "(count|please count|can you count|start to count|you count|let us count) from <a> (to|up to|until) <b>",
    "(say|tell me|name|list) the numbers from <a> (to|up to|until) <b>",
    "count the numbers from <a> (to|up to) <b>",
)
COUNT_DOWN = ("(count|please count|can you count|let us count) (down|back|backwards) from <b> (to one|)",)


def _count(rng: random.Random, split: Split) -> tuple[str, str]:
    kind = rng.random()
    if kind < 0.5:
        last = rng.randint(2, 10)
        return _fill(COUNT_UP, rng, split, b=_number(last, rng)), counted(1, last)
    if kind < 0.8:
        first = rng.randint(1, 9)
        last = rng.randint(first + 1, min(first + 7, 12))
        words = _fill(COUNT_BETWEEN, rng, split, a=_number(first, rng), b=_number(last, rng))
        return words, counted(first, last)
    first = rng.randint(2, 10)
    return _fill(COUNT_DOWN, rng, split, b=_number(first, rng)), counted(first, 1)


ADD = (
    "(what is|how much is|what makes|calculate|tell me|say|what do you get for|) <a> plus <b>",
    "(what is|how much is|what makes) <a> and <b> (together|added|in all)",
    "(what is|how much is|calculate|tell me|find|give me|) the sum of <a> and <b>",
    "(add|please add|can you add|what do you get if you add|what do I get when I add|add up) <a> and <b>",
    "(add|please add|can you add|what do you get if you add|what do I get when I add) <a> to <b>",
    "how much (does <a> plus <b> make|do <a> and <b> make|are <a> and <b>)",
    "what (does <a> plus <b> make|do <a> and <b> make|does <a> plus <b> equal)",
    "(what is|how much is|) <n> + <m>",
)


def added(a: int, b: int) -> str:
    return sentence(f"{NUMBERS[a]} plus {NUMBERS[b]} is {NUMBERS[a + b]}")


def _add(rng: random.Random, split: Split) -> tuple[str, str]:
    a, b = rng.randint(0, 10), rng.randint(0, 10)
    core = rng.choice(wordings(ADD, split))
    words = [_number(a, rng), _number(b, rng)]
    if "<a> to <b>" in core:
        words = words[::-1]  # add three to two: two plus three
    for name, value in zip(("<a>", "<b>", "<n>", "<m>"), [*words, str(a), str(b)], strict=True):
        core = core.replace(name, value)
    return core, added(a, b)


AFTER = (
    "(what|which) <kind> (comes|is|follows|do we have) (after|right after|just after) <a>",
    "(what|which) is the (next <kind>|<kind>) after <a>",
    "(what|which) (is|comes) the <kind> after <a>",
    "(tell me|name|say) the (next <kind>|<kind>) after <a>",
    "what (comes|is|follows|is next) after <a>",
    "(what|which) <kind> follows <a>",
    "(what|which) <kind> (always follows|directly follows|follows upon|follows on|then follows) <a>",
    "what (follows|always follows|directly follows|follows right after|follows just after) <a>",
    "(name|say) (what|the <kind> that) (follows|comes after) <a>",
    "after <a> (comes|follows) (what|what <kind>|which <kind>)",
)
BEFORE = (
    "(what|which) <kind> (comes|is|was|do we have) (before|right before|just before) <a>",
    "(what|which) (is|comes|was) the <kind> before <a>",
    "(tell me|name|say) the <kind> before <a>",
    "what (comes|is|was) before <a>",
    "what (always comes|comes right|comes just|is just) before <a>",
    "(name|say) (what|the <kind> that) comes before <a>",
    "before <a> comes (what|what <kind>|which <kind>)",
)


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
    return _fill(AFTER if after else BEFORE, rng, split, kind=kind, a=shown), follows(words[at], other, after)


CALENDAR = (
    (
        ("how many days (are there in|are in|has|does) a week (have|)", "(tell me|say) how many days a week has"),
        "There are seven days in a week.",
    ),
    (
        ("how many months (are there in|are in|has|does) a year (have|)", "(tell me|say) how many months a year has"),
        "There are twelve months in a year.",
    ),
    (
        ("(say|name|list|tell me|what are) (the|all the|all) days of the week", "what are the days in a week"),
        "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday.",
    ),
    (
        ("(what|which) is the first month (of|in) (the|a) year", "(what|which) month (is|comes) first"),
        "The first month is January.",
    ),
    (
        ("(what|which) is the last month (of|in) (the|a) year", "(what|which) month (is|comes) last"),
        "The last month is December.",
    ),
    (
        ("(what|which) is the first day (of|in) (the|a) week", "(what|which) day (is|comes) first"),
        "The first day is Monday.",
    ),
    (
        ("(what|which) is the last day (of|in) (the|a) week", "(what|which) day (is|comes) last"),
        "The last day is Sunday.",
    ),
)


def _day(rng: random.Random, split: Split) -> tuple[str, str]:
    if rng.random() < 0.25:
        lines, answer = rng.choice(CALENDAR)
        return _fill(lines, rng, split), answer
    return _neighbour("day", DAYS, rng, split)


def _month(rng: random.Random, split: Split) -> tuple[str, str]:
    return _neighbour("month", MONTHS, rng, split)


def _next_number(rng: random.Random, split: Split) -> tuple[str, str]:
    return _neighbour("number", NUMBERS, rng, split)


OPPOSITE = (
    "(what is|tell me|say|name|give me|do you know|can you say|find|) the opposite of <a>",
    "(what|which word) is the opposite of <a>",
    "(what|which word|who) is opposite to <a>",
    "what (does not mean|is not) <a> but the opposite",
    "(<a> is|is <a>) the opposite of (what|which word)",
    "(what|which word) is <a> the opposite of",
    "what (would|may|can) <a> be the opposite of",
    "(what|which word) do you call the opposite of <a>",
    "(tell me|say|give me) the opposite (word|) (to|for) <a>",
)


def _opposite(rng: random.Random, split: Split) -> tuple[str, str]:
    pair = rng.choice(OPPOSITES)
    a, b = pair if rng.random() < 0.5 else pair[::-1]
    return _fill(OPPOSITE, rng, split, a=a), f"The opposite of {a} is {b}."


COMPARE = (
    "is <a> (more|bigger|larger|greater) than <b>",
    "(tell me|say) if <a> is (more|bigger|larger|greater) than <b>",
    "is the number <a> (more|bigger|larger|greater) than <b>",
    "is it true that <a> is (more|bigger|larger|greater) than <b>",
)


def _compare(rng: random.Random, split: Split) -> tuple[str, str]:
    a, b = rng.sample(range(11), 2)
    answer = (
        f"Yes, {NUMBERS[a]} is more than {NUMBERS[b]}." if a > b else f"No, {NUMBERS[a]} is less than {NUMBERS[b]}."
    )
    return _fill(COMPARE, rng, split, a=_number(a, rng), b=_number(b, rng)), answer


REPEAT = (
    "(repeat|please repeat|say|please say|can you say|can you repeat|now say) (this|the words|the following|): <a>",
    "(repeat|please repeat|say|please say|speak) after me(:|) <a>",
    "(repeat|say) (this|it) after me: <a>",
    "say <a>",
)
REPEATED = (
    "<c> <s>",
    "the <c> <s>",
    "a <c> <s> and a <d> <t>",
    "<n> <c> <s>s",
    "<n> <m> <k>",
    "<n> <m>",
    "it is <n> o'clock",
    "it is half past <n>",
    "it is <m> past <n>",
    "<day> the <nth> of <month>",
    "today is <day>",
    "see you on <day>",
    "the <a> <s>",
    "hello",
    "good morning",
    "good evening my friend",
    "thank you very much",
    "yes please",
    "no thank you",
    "my name is Omni",
    "turn <side> and go forward",
    "<a> and <b>",
)
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
    return _fill(REPEAT, rng, split, polite=False, a=words).replace(" :", ":"), sentence(words)


THINGS = (
    "France Spain Germany Italy China India Brazil Egypt Canada Japan Rome London Paris Berlin money gold silver "
    "water fire wood iron music history physics love war peace time space life death bread cheese apples bananas "
    "soup rice tea coffee milk sugar salt a horse a dog a cat a bird a fish a tiger an elephant a mouse a tree a "
    "flower a garden a house a car a train a ship a plane a bicycle a computer a phone a book a film a song a "
    "poem a game football tennis chess the moon the sun the sea the river the mountain the weather the president "
    "the king the queen my mother my father my brother my doctor the teacher the school the shop the market the "
    "bank the airport the station Mars Shakespeare Mozart Newton Einstein Napoleon the internet the government "
    "the law the universe electricity"
)
UNKNOWN_THINGS = tuple(re.sub(r"\b(a|an|the|my) ", r"\1_", THINGS).split())
UNKNOWN_QUESTIONS = (
    "(what is|where is|who is|when was|who made|who found|who knows|why is there|what about) <a>",
    "(tell me|do you know|what do you know|write a poem|can you talk|tell me a story) (something|all|) about <a>",
    "(what is|what was) the (capital|name|price|history|age|weight|size|meaning|origin|colour) of <a>",
    "how (old|big|heavy|far|expensive|fast|tall|deep|dangerous) is <a>",
    "how (do I|can I|do people|does one) (make|buy|find|cook|repair|sell|draw|use|reach) <a>",
    "why (do people|does he|does she|should I) (like|need|buy|want|fear|love) <a>",
    "(do you like|have you seen|can you buy|can you find|do you want|do you believe in) <a>",
    "where (can I find|do I get|did you see|does one buy|was) <a>",
    "who (invented|wrote about|owns|likes|was|painted|discovered|is the owner of) <a>",
    "when (did people first use|was the first time of|will I see|do we get|does one need) <a>",
    "(translate|explain|spell|describe|draw|define|compare|cook|call|play) <a>",
    "what (happened to|do you think of|is the best way to get|is wrong with|can one do with|is the use of) <a>",
    "what is the opposite of <a>",
    "how many <a> are there in the world",
    "(is|was) <a> (beautiful|dangerous|important|expensive|real|famous)",
    "(I like|I saw|I want|he has|she bought|we need|they lost) <a>",
    "(what time is it|what is the time|what day is it today|what is the date|how old are you|where are you)",
    "(where do you live|who made you|what is the weather like|will it rain|what should I eat|who won the game)",
    "(how tall are you|what is my name|who am I|where am I|what is the meaning of life|can you drive|are you human)",
    "(what did you eat|do you sleep|tell me a joke|sing a song|what is the news|do you love me)",
)


def _unknown(rng: random.Random, split: Split) -> tuple[str, str]:
    thing = rng.choice(UNKNOWN_THINGS).replace("_", " ")
    return _fill(UNKNOWN_QUESTIONS, rng, split, a=thing), UNKNOWN


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
