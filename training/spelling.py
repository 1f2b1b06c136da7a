"""Words out of what was written: two ways to write the same sound are no error of speech or hearing."""

import re
from collections.abc import Sequence

from sglang_omni.benchmark.words import edits
from training.sentences import MONTHS, ORDINALS, UNITS, number, ordinal

SAME = {
    "color": "colour",
    "colors": "colours",
    "gray": "grey",
    "neighbor": "neighbour",
    "neighbors": "neighbours",
    "harbor": "harbour",
    "theater": "theatre",
    "center": "centre",
    "plow": "plough",
    "favorite": "favourite",
    "okay": "ok",
    "mr": "mister",
    "mrs": "missus",
    "dr": "doctor",
    "oclock": "o'clock",
    "goodnight": "good night",
    "goodbye": "good bye",
    "goodbyes": "good byes",
    "omnie": "omni",
    "&": "and",
    "%": "percent",
    "+": "plus",
}
"""American spellings, abbreviations, signs, and words that are written apart or together."""

TOKEN = re.compile(r"\d+(?:st|nd|rd|th)\b|\d{1,3}(?:,\d{3})+|\d+|[^\W\d_]+(?:'[^\W\d_]+)*|[+&%=]|(?<=[\d\s])-(?=\s?\d)")
NTH = "|".join(sorted((ordinal(day) for day in range(1, 32)), key=len, reverse=True))
DATE = re.compile(rf"\b(?:the )?(?:(\d{{1,2}})(?:st|nd|rd|th)?|({NTH}))(?: of)? ({'|'.join(MONTHS).lower()})\b")
"""`the` and `of` of a date are not counted: `8 May` is written of what was said as `the eighth of May` too."""

Readings = list[list[str]]
"""The ways in which one token can be read aloud, each in words."""


def readings(text: str) -> list[Readings]:
    """Of every token, the likeliest reading first."""
    plain = text.lower().replace("’", "'").replace("−", "-")
    return [_readings(token) for token in TOKEN.findall(DATE.sub(_date, plain))]


def _date(found: re.Match[str]) -> str:
    figure, word, month = found.groups()
    return f"{word or figure + 'th'} {month}"


def words(text: str) -> list[str]:
    """Lower case, numerals in words, British spelling, without punctuation."""
    return [word for ways in readings(text) for word in ways[0]]


def errors(said: str, heard: str) -> tuple[int, int]:
    """Fewest words to insert, delete or replace in what was said, over all readings of what is written as having been
    heard (`2 3` is two three; `23` may be twenty three or two three), and the number of words said."""
    truth, ways = words(said), readings(heard)
    chosen = [0] * len(ways)
    best = edits(truth, _spell(ways, chosen))
    for index, choices in enumerate(ways):
        for choice in range(1, len(choices)):
            tried = [*chosen[:index], choice, *chosen[index + 1 :]]
            if (found := edits(truth, _spell(ways, tried))) < best:
                best, chosen = found, tried
    return best, len(truth)


def _spell(ways: Sequence[Readings], chosen: Sequence[int]) -> list[str]:
    return [word for choices, choice in zip(ways, chosen, strict=True) for word in choices[choice]]


def _readings(token: str) -> Readings:
    if token == "=":
        return [["is"], ["equals"]]
    if token == "-":
        return [[], ["minus"]]
    if not token[0].isdigit():
        return [SAME.get(token, token).split()]
    if not token[-1].isdigit():
        return _ordinals(int(token[:-2]), token)
    return _numerals(token.replace(",", ""))


def _ordinals(n: int, token: str) -> Readings:
    return [ordinal(n).split()] if 0 < n <= len(ORDINALS) + 11 else [[token]]


def _numerals(numeral: str) -> Readings:
    """As a number, digit by digit, and in pairs as the time of day and years are."""
    digits = [UNITS[int(digit)] for digit in numeral]
    found = [number(int(numeral)).split()] if (len(numeral) <= 6 and numeral[0] != "0") or len(numeral) == 1 else []
    found.append([word for word in found[0] if word != "and"] if found else digits)
    found += [digits, ["oh" if digit == "zero" else digit for digit in digits]]
    for first in (len(numeral) % 2, 1):  # 357: three fifty seven
        parts = [numeral[:first], *(numeral[i : i + 2] for i in range(first, len(numeral), 2))]
        found.append([word for part in parts if part for word in _pair(part)])
    found.append([word for i in range(0, len(numeral), 2) for word in _pair(numeral[i : i + 2])])
    return found


def _pair(part: str) -> list[str]:
    if len(part) == 2 and part[0] == "0":
        return ["oh" if part[1] != "0" else "zero", UNITS[int(part[1])]]
    return number(int(part)).split()
