"""Conversations as the thinker reads them when it serves, with the answers it is to give."""

import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import AutoProcessor, Qwen3OmniMoeProcessor

from sglang_omni.media import Video
from sglang_omni.models.qwen3_omni.demo import _write_processors
from sglang_omni.models.qwen3_omni.demo.config import SIZES, demo_config
from sglang_omni.models.qwen3_omni.demo.tokenizer import write_tokenizer
from sglang_omni.models.qwen3_omni.inputs import Inputs, Item, build_inputs, choose_frames
from training import dialogue, pictures
from training.dialogue import PICTURE_QUESTIONS, SOUND_QUESTIONS, SPOKEN_QUESTIONS, VIDEO_QUESTIONS, Split
from training.sounds import RATE, Clip, Sound, in_a_room

SIZE = "trained"
SYSTEMS = (
    "You are Omni.",
    "You are a helpful assistant.",
    "Answer in one short sentence.",
    "You are a friendly voice.",
)


def processor() -> Qwen3OmniMoeProcessor:
    """The one that is served."""
    with tempfile.TemporaryDirectory() as name:
        write_tokenizer(Path(name), SIZES[SIZE].vocabulary)
        _write_processors(Path(name))
        return AutoProcessor.from_pretrained(name)


@dataclass(frozen=True)
class Conversation:
    """`messages` as in a request to the server, a part of whose content may be a medium of `media`, in order."""

    task: str
    messages: list[dict[str, Any]]
    answer: str
    media: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Example:
    """`ids` (length,) of a conversation, and which of them the model says (length,); `positions` (3, length)."""

    task: str
    ids: Tensor
    said: Tensor
    positions: Tensor
    items: list[Item]


def read(conversation: Conversation, reader: Qwen3OmniMoeProcessor) -> Example:
    prompt = reader.apply_chat_template(conversation.messages, tokenize=False, add_generation_prompt=True)
    ids = reader.tokenizer(prompt)["input_ids"]
    end = reader.tokenizer.convert_tokens_to_ids("<|im_end|>")
    answer = torch.tensor([*reader.tokenizer(conversation.answer)["input_ids"], end])
    if conversation.media:
        inputs = build_inputs(reader, _config(), ids, **conversation.media)
    else:
        count = torch.arange(len(ids)).expand(3, -1)
        inputs = Inputs(torch.tensor(ids), [], count, torch.zeros(1, 1, dtype=torch.long))
    after = inputs.positions.max() + 1 + torch.arange(len(answer))
    whole = torch.cat((inputs.ids, answer))
    positions = torch.cat((inputs.positions, after.expand(3, -1)), 1)
    return Example(conversation.task, whole, _said(whole.tolist()), positions, inputs.items)


def _said(ids: list[int]) -> Tensor:
    """Every answer, with the token that ends it."""
    special = SIZES[SIZE].vocabulary
    begin, end, assistant = (special[name] for name in ("<|im_start|>", "<|im_end|>", "assistant"))
    said = torch.zeros(len(ids), dtype=torch.bool)
    for i in range(len(ids) - 1):
        if ids[i] == begin and ids[i + 1] == assistant:
            said[i + 3 : ids.index(end, i) + 1] = True  # behind a line break
    return said


@cache
def _config() -> Any:
    return demo_config(SIZE).thinker_config


class World:
    """Draws conversations about everything the model is to know."""

    def __init__(self, reader: Qwen3OmniMoeProcessor, clips: Sequence[Clip], split: Split = "train"):
        self.split: Split = split
        self.chosen = choose_frames(reader, pictures.FRAMES, float(pictures.VIDEO_RATE))
        self.digits: dict[str, list[Clip]] = {}
        self.phrases: dict[str, list[Clip]] = {}
        for clip in clips:
            spelled = set(clip.words.split()) <= set(dialogue.NUMBERS[:10])
            group = self.digits.setdefault(clip.voice, []) if spelled else self.phrases.setdefault(clip.words, [])
            group.append(clip)
        self.voices = [voice for voice, group in self.digits.items() for _ in range(len(group))]
        self.spoken = list(self.phrases)
        self.about_pictures = [words for words in self.spoken if SPOKEN_QUESTIONS.get(words) in PICTURE_QUESTIONS]

    def digit_sound(self, rng: random.Random) -> tuple[str, Sound]:
        """One to five digits, often of two clips of a voice."""
        group = self.digits[rng.choice(self.voices)]
        clip = rng.choice(group)
        words, sound = clip.words, _float(clip)
        if rng.random() < 0.4 and len(words.split()) < 5:
            other = rng.choice(group)
            if len(words.split()) + len(other.words.split()) <= 5:
                words = f"{words} {other.words}"
                sound = np.concatenate((sound, np.zeros(int(rng.uniform(0, 0.25) * RATE), np.float32), _float(other)))
        return words, sound

    def phrase_sound(self, rng: random.Random, among: Sequence[str] | None = None) -> tuple[str, Sound]:
        words = rng.choice(among or self.spoken)
        return words, _float(rng.choice(self.phrases[words]))

    def sound(self, rng: random.Random, longest: int = 9) -> tuple[str, Sound]:
        """At most `longest` words, in a room."""
        while True:
            words, sound = self.digit_sound(rng) if rng.random() < 0.6 else self.phrase_sound(rng)
            if len(words.split()) <= longest:
                return words, in_a_room(sound, rng, self.split)

    def text(self, rng: random.Random) -> Conversation:
        if rng.random() < 0.03:  # a question about a picture, and no picture
            questions = rng.choice([*PICTURE_QUESTIONS.values(), VIDEO_QUESTIONS, SOUND_QUESTIONS])
            words = dialogue.about(questions, rng, self.split)
            return Conversation("unknown", self._talk(words, rng), dialogue.UNKNOWN)
        question = dialogue.ask(rng, self.split)
        messages = self._talk(question.text, rng)
        if rng.random() < 0.12:
            earlier = dialogue.ask(rng, self.split)
            turns = [{"role": "user", "content": earlier.text}, {"role": "assistant", "content": earlier.answer}]
            messages = [*messages[:-1], *turns, messages[-1]]
        return Conversation(question.task, messages, question.answer)

    def hearing(self, rng: random.Random) -> Conversation:
        """A sound alone is answered like the same words in text; what is no question is said again."""
        words, sound = self.sound(rng)
        content: list[Any] = [{"type": "audio"}]
        answer = spoken_answer(words)
        if rng.random() < 0.3:
            question = {"type": "text", "text": dialogue.about(SOUND_QUESTIONS, rng, self.split)}
            content.insert(rng.randint(0, 1), question)
            answer = dialogue.heard(words)
        return Conversation("hearing", self._talk(content, rng), answer, {"audios": [sound]})

    def seeing(self, rng: random.Random, small: bool = False, questions: int = 1) -> Conversation:
        """So many questions about a picture, but sometimes one that has nothing to do with it."""
        seen = pictures.picture(rng, small)
        answers = dialogue.picture_answers(seen.colour, seen.shape, seen.number)
        about = rng.choices(list(answers), [1, 1, 2, 2])[0]
        question: Any = {"type": "text", "text": dialogue.about(PICTURE_QUESTIONS[about], rng, self.split)}
        answer = answers[about]
        media: dict[str, Any] = {"images": [seen.image]}
        kind = rng.random()
        if kind < 0.2:
            words, sound = self.phrase_sound(rng, self.about_pictures)
            about = SPOKEN_QUESTIONS[words]
            question, answer = {"type": "audio"}, answers[about]
            media["audios"] = [in_a_room(sound, rng, self.split)]
        elif kind < 0.25:
            other = dialogue.ask(rng, self.split)
            question, answer, about = {"type": "text", "text": other.text}, other.answer, other.task
        content = [question]
        content.insert(rng.randint(0, 1), {"type": "image"})
        messages = self._talk(content, rng)
        if about in answers:
            others = [other for other in answers if other != about]
            for about in rng.sample(others, questions - 1):
                text = dialogue.about(PICTURE_QUESTIONS[about], rng, self.split)
                messages += [{"role": "assistant", "content": answer}, {"role": "user", "content": text}]
                answer = answers[about]
        return Conversation(about, messages, answer, media)

    def watching(self, rng: random.Random) -> Conversation:
        film = pictures.film(rng, self.chosen)
        content = [{"type": "text", "text": dialogue.about(VIDEO_QUESTIONS, rng, self.split)}]
        content.insert(rng.randint(0, 1), {"type": "video"})
        video = Video(film.frames, self.chosen, pictures.FRAMES, pictures.VIDEO_RATE, None)
        answer = dialogue.video_answer(film.before, film.after)
        return Conversation("video", self._talk(content, rng), answer, {"videos": [video]})

    def _talk(self, content: Any, rng: random.Random) -> list[dict[str, Any]]:
        system = [{"role": "system", "content": rng.choice(SYSTEMS)}] if rng.random() < 0.1 else []
        return [*system, {"role": "user", "content": content}]


def spoken_answer(words: str) -> str:
    """To a sound alone."""
    answer = SPOKEN_QUESTIONS.get(words)
    if answer is None:
        return dialogue.heard(words)
    return dialogue.UNKNOWN if answer in PICTURE_QUESTIONS else answer


def _float(clip: Clip) -> Sound:
    return clip.samples.astype(np.float32) / np.float32(32768)


def patches(image: Image.Image, reader: Qwen3OmniMoeProcessor) -> tuple[Tensor, Tensor]:
    """(patches, values) and the grid (1, 3)."""
    batch = reader.image_processor(images=image, return_tensors="pt")
    return batch["pixel_values"], batch["image_grid_thw"]


def mel(sound: Sound, reader: Qwen3OmniMoeProcessor) -> Tensor:
    """(mel bins, frames)."""
    return reader.feature_extractor(sound, sampling_rate=RATE, padding=True, truncation=False, return_tensors="pt")[
        "input_features"
    ][0]
