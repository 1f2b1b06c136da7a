"""What the trained demo model is judged by: wordings, pictures, voices and noises it was not trained with.

Every item is a request to the server and the answers that count as right; the same numbers give the same items.
"""

import base64
import random
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from training import dialogue as world
from training import pictures, sounds
from training.dialogue import PICTURE_QUESTIONS, VIDEO_QUESTIONS
from training.examples import spoken_answer

HUMAN = Path("/usr/share/pocketsphinx/test/data")
"""Recordings of people, from Debian's `pocketsphinx-testdata`."""

RECORDINGS = (("tidigits/dhd.2934z.raw", "two nine three four zero"), ("cards/004.wav", "five five"))
"""Of them, those that say nothing but digits."""

ALONE = {
    "commands": list(world.COMMANDS),
    "questions": [words for words in world.SPOKEN_QUESTIONS if spoken_answer(words) != world.UNKNOWN],
}
"""What means something without a picture."""

SPOKEN = {**ALONE, "pictures": [words for words, about in world.SPOKEN_QUESTIONS.items() if about in PICTURE_QUESTIONS]}

PARAPHRASES = "paraphrases.tsv"
"""Lines of a task, a question and its answer, written by somebody who had not seen the recipe's wordings."""


@dataclass(frozen=True)
class Item:
    """`messages` as the chat route takes them, media as data URIs."""

    task: str
    messages: list[dict[str, Any]]
    accepted: tuple[str, ...]


def dialogue(n: int, seed: int = 0) -> list[Item]:
    """Questions in text, of all tasks in turn."""
    rng = random.Random(f"dialogue {seed}")
    tasks = list(world.TASKS)
    questions = [world.ask_about(tasks[i % len(tasks)], rng, "held_out") for i in range(n)]
    return [Item(one.task, _said(one.text), one.accepted) for one in questions]


def paraphrases() -> list[Item]:
    """What people might type, in words of their own; some of it is what the recipe says too."""
    lines = resources.files("training").joinpath(PARAPHRASES).read_text().splitlines()
    return [Item(task, _said(text), (answer,)) for task, text, answer in (line.split("\t") for line in lines)]


def vision(n: int, seed: int = 0) -> list[Item]:
    """A picture and a question about its colour, shape, number or all, in turn."""
    rng = random.Random(f"vision {seed}")
    items = []
    for i in range(n):
        seen = pictures.picture(rng)
        answers = world.picture_answers(seen.colour, seen.shape, seen.number)
        task = list(answers)[i % len(answers)]
        text = world.about(PICTURE_QUESTIONS[task], rng, "held_out")
        items.append(Item(task, _said([_image(seen), {"type": "text", "text": text}]), (answers[task],)))
    return items


def videos(n: int, seed: int = 0) -> list[Item]:
    """Two seconds in which a colour changes, or does not."""
    rng = random.Random(f"videos {seed}")
    items = []
    for _ in range(n):
        film = pictures.film(rng)
        video = {"type": "video_url", "video_url": {"url": _uri("video/mp4", pictures.mp4(film))}}
        text = {"type": "text", "text": world.about(VIDEO_QUESTIONS, rng, "held_out")}
        task = "no change" if film.before == film.after else "change"
        items.append(Item(task, _said([video, text]), (world.video_answer(film.before, film.after),)))
    return items


def hearing(n: int, seed: int = 0) -> list[Item]:
    """Digits, commands and questions, in turn: in voices and noises kept for this."""
    rng = random.Random(f"hearing {seed}")
    tasks = "digits", *ALONE
    items = []
    for i in range(n):
        task = tasks[i % len(tasks)]
        clip = _clip(rng, task)
        items.append(Item(task, _said([_in_a_room(clip, rng)]), (spoken_answer(clip.words),)))
    return items


def spoken(n: int, seed: int = 0) -> list[Item]:
    """A picture, and a voice kept for this that asks about it."""
    rng = random.Random(f"spoken {seed}")
    items = []
    for _ in range(n):
        seen = pictures.picture(rng)
        answers = world.picture_answers(seen.colour, seen.shape, seen.number)
        words = rng.choice([words for words, about in world.SPOKEN_QUESTIONS.items() if about in answers])
        about = world.SPOKEN_QUESTIONS[words]
        asked = _in_a_room(_said_by_somebody(rng, words, words), rng)
        items.append(Item(about, _said([_image(seen), asked]), (answers[about],)))
    return items


def human() -> list[Item]:
    """Recordings of people, where they are installed; too few for more than an impression."""
    if not HUMAN.exists():
        print("No recordings of people: on Debian, apt install pocketsphinx-testdata")
        return []
    items = []
    for name, words in RECORDINGS:
        data = (HUMAN / name).read_bytes()
        raw = np.frombuffer(data, np.int16).astype(np.float32) / np.float32(32768)
        sound = sounds.read_wave(data) if name.endswith(".wav") else raw
        items.append(Item("digits", _said([audio(sound)]), (spoken_answer(words),)))
    return items


def held_out_clips(n: int = 300) -> list[sounds.Clip]:
    """Clean clips of the held-out voices; the recipe looks at them to say how it gets on."""
    rng = random.Random("held-out clips")
    return [_clip(rng, rng.choice(["digits", "digits", *SPOKEN])) for _ in range(n)]


def _clip(rng: random.Random, task: str) -> sounds.Clip:
    if task == "digits":
        return _said_by_somebody(rng, *sounds.digits(rng))
    phrase = rng.choice(SPOKEN[task])
    return _said_by_somebody(rng, phrase, phrase)


def _said_by_somebody(rng: random.Random, said: str, meant: str) -> sounds.Clip:
    voices, weights = zip(*sounds.VOICES["held_out"], strict=True)
    return sounds.clip(said, meant, rng.choices(voices, weights)[0], rng, "held_out")


def _in_a_room(clip: sounds.Clip, rng: random.Random) -> dict[str, Any]:
    """A part of a message."""
    return audio(sounds.in_a_room(clip.samples.astype(np.float32) / np.float32(32768), rng, "held_out"))


def audio(sound: sounds.Sound) -> dict[str, Any]:
    """A part of a message."""
    data = base64.b64encode(sounds.write_wave(sound)).decode()
    return {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}


def _image(seen: pictures.Picture) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": _uri("image/png", pictures.png(seen.image))}}


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _said(content: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content}]
