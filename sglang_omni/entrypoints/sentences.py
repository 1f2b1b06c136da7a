"""A long text in pieces that are spoken one after the other: cut where a speaker would breathe."""

import re
import unicodedata

AFTER_SENTENCE, AFTER_CLAUSE, ELSEWHERE = 0.16, 0.08, 0.02
"""Seconds of silence behind a piece, by what it ends with."""

ABBREVIATED = r"(?<!\b(?:Mr|Ms|Dr|St|No|vs))(?<!\b(?:Mrs|Fig))(?<!\bProf)(?<!\b\w)"
CLOSING = r"""["'”’»)\]]*"""
SPACED_STOP = rf"(?<![.!?…؟۔।])(?:{ABBREVIATED}\.|[!?…؟۔।])[.!?…]*{CLOSING}\s+(?![a-z\s])"
SENTENCE = re.compile(rf"{SPACED_STOP}|[。！？｡]+[”’」』）]*\s*|\n[^\S\n]*\n\s*")  # or an empty line
CLAUSE = re.compile(rf"[,;:،؛]{CLOSING}\s+|\s[–—-]\s+|[—，；：、､]\s*|\n\s*")
SPACE = re.compile(r"\s+")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
FLAG_LETTERS = "".join(map(chr, range(0x1F1E6, 0x1F200)))
SKIN_TONES = "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"
JOINER = "\u200d"


def pieces(text: str, longest: int) -> list[str]:
    """`text` in pieces of at most `longest` characters and about equal length; joined, they are `text`.

    A piece ends with a sentence if one ends near the right place; else with a clause, else with a word, else between
    two characters as a reader sees them, if possible outside a number.
    """
    found = []
    while len(text) > longest:
        cut = _cut(text, longest)
        found.append(text[:cut])
        text = text[cut:]
    return [*found, text]


def pause_after(piece: str) -> float:
    """Seconds of silence between this piece and the next."""
    for mark, seconds in ((SENTENCE, AFTER_SENTENCE), (CLAUSE, AFTER_CLAUSE)):
        if len(piece) in _ends(mark, piece):
            return seconds
    return ELSEWHERE


def _cut(text: str, longest: int) -> int:
    wanted = len(text) / -(-len(text) // longest)
    least = max(1, longest // 4)
    most = min(longest, len(text) - least)
    characters = [place for place in range(least, most + 1) if not _is_inside_character(text, place)]
    numbers = {place for number in NUMBER.finditer(text) for place in range(number.start() + 1, number.end())}
    marks = (_ends(mark, text) for mark in (SENTENCE, CLAUSE, SPACE))
    for places in (*marks, set(characters) - numbers, characters):
        near = [place for place in places if least <= place <= most]
        if near:
            return min(near, key=lambda place: abs(place - wanted))
    return most


def _ends(mark: re.Pattern[str], text: str) -> list[int]:
    return [match.end() for match in mark.finditer(text)]


def _is_inside_character(text: str, place: int) -> bool:
    """Whether a cut would part what a reader sees as one: an accent from its letter, the halves of a flag."""
    before, after = text[place - 1], text[place]
    flag_letters = len(text[:place]) - len(text[:place].rstrip(FLAG_LETTERS))
    return (
        JOINER in (before, after)
        or after in SKIN_TONES
        or unicodedata.category(after).startswith("M")
        or "\u1160" <= after <= "\u11ff"  # vowels and endings of Korean syllables written apart
        or "\U000e0020" <= after <= "\U000e007f"  # letters of a region's flag
        or (after in FLAG_LETTERS and flag_letters % 2 == 1)
    )
