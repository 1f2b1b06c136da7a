"""English as voices of other languages say it: spelled by their rules, phone by phone.

It has their accents, which adds kinds of throats and of speakers to what a model learns to hear.
"""

import shutil
import subprocess
from functools import cache

from training.errors import MissingTool

TABLE = """
flite    aa ae ah ao aw ax ay b ch d dh eh er ey f g hh ih iy jh
italian  a  e  a  o  au a  ai b ci d d  e  er ei f g h  i  i  gi
spanish  a  e  a  o  au a  ai b ch d d  e  er ei f g j  i  i  y
czech    a  e  a  ó  au e  aj b č  d d  e  er ej f g h  i  í  dž
finnish  aa ä  a  oo au ö  ai p ts t t  e  öö ei f k h  i  ii ts

flite    k l m n ng ow oy p r s sh  t th uh uw v w y z zh
italian  k l m n ng ou oi p r s sci t t  u  u  v u i z sci
spanish  k l m n n  ou oi p r s ch  t z  u  u  b u y s y
czech    k l m n ng ou oj p r s š   t t  u  ú  v v j z ž
finnish  k l m n nk ou oi p r s s   t t  u  uu v u j s s
"""
"""Flite's phones, and below each what spells it in a language."""

VOICES = {
    "festival:pc_diphone": "italian",
    "festival:lp_diphone": "italian",
    "festival:czech_machac": "czech",
    "festival:czech_dita": "czech",
    "festival:czech_krb": "czech",
    "festival:czech_ph": "czech",
    "festival:hy_fi_mv_diphone": "finnish",
    "festival:suo_fi_lj_diphone": "finnish",
    "pico:it-IT": "italian",
    "pico:es-ES": "spanish",
}
"""What languages they speak."""


def spelled(words: str, language: str) -> str:
    """In the letters that a voice of the language reads."""
    letters = spellings(language)
    return " ".join("".join(letters[phone] for phone in phones(word)) for word in words.split())


@cache
def spellings(language: str) -> dict[str, str]:
    rows = {name: [] for name in ("flite", language)}
    for name, *row in map(str.split, filter(None, TABLE.splitlines())):
        rows.get(name, []).extend(row)
    return dict(zip(*rows.values(), strict=True))


@cache
def phones(word: str) -> tuple[str, ...]:
    """By flite. Raises MissingTool without it."""
    if shutil.which("flite") is None:
        raise MissingTool("the synthesiser flite", "flite")
    told = subprocess.run(["flite", "-ps", "-t", word, "-o", "/dev/null"], check=True, capture_output=True, text=True)
    return tuple(phone for phone in told.stdout.split() if phone != "pau")
