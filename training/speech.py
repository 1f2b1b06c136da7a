"""The teacher's voices: flite says sentences, whose sound is kept as 24 kHz PCM, with the phones it is made of."""

import json
import multiprocessing
import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly
from tqdm import tqdm

from training.errors import MissingTool
from training.parts import parser, whole
from training.sentences import closed, opened


@dataclass(frozen=True)
class Teacher:
    """A voice of flite's that keeps its pitch.

    Its pulses are where they would be if it had never fallen silent, and so many of them fit into a frame that every
    frame is cut from the same row. A decoder that is judged by spectra has no other way to know where they are, and
    would make noise of what they excite.
    """

    voice: str
    stretch: float
    """How much longer than usual everything takes, before `speed`."""
    pitch: float
    """Hertz, before `speed`: a multiple of 100, as flite sets its pulses anew every 5 ms."""
    speed: Fraction = Fraction(1)
    """Of playing it: one throat is longer than another."""

    @property
    def heard(self) -> float:
        """Hertz that one hears."""
        return self.pitch * float(self.speed)


VOICES = {"chelsie": Teacher("slt", 1.15, 200), "ethan": Teacher("slt", 0.95, 100, Fraction(7, 8))}
"""Ours, and whose sound each learns."""

SAMPLE_RATE, FRAME = 24_000, 1920
BEFORE, AFTER = 0.2, 0.16
"""Seconds of near silence in front of the words, at least, and behind them. The talker gets one piece of text, of at
most two letters, for every frame: with less silence it has to begin `they` before it knows that this is not `the`."""

UTTERANCES = 24_000
DOMAIN = 0.55
"""Share of the utterances that are the domain's; the others are open English."""

LONGEST = 10.0
"""Seconds of an utterance."""


Phones = list[tuple[str, float]]
"""What is said, each with the second in which it ends."""


@dataclass(frozen=True)
class Utterance:
    voice: str
    text: str
    samples: np.ndarray  # (frames * 1920,) int16 at 24 kHz
    phones: Phones

    @property
    def waveform(self) -> np.ndarray:
        return self.samples.astype(np.float32) / 32768


def say(text: str, teacher: Teacher) -> tuple[np.ndarray, Phones]:
    """(samples,) float32 at 24 kHz, and its phones. Raises MissingTool without flite."""
    if shutil.which("flite") is None:
        raise MissingTool("the synthesiser flite", "flite")
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        shape = {"duration_stretch": teacher.stretch, "int_f0_target_mean": teacher.pitch, "int_f0_target_stddev": 0}
        settings = [word for name, value in shape.items() for word in ("--setf", f"{name}={value}")]
        command = ["flite", "-voice", teacher.voice, *settings, "-psdur", "-t", text, "-o", file.name]
        told = subprocess.run(command, check=True, capture_output=True, text=True)
        sound, sample_rate = soundfile.read(file.name, dtype="float32")
    ends = (item.split(":") for item in told.stdout.split())
    phones = [(phone, float(end) / float(teacher.speed)) for phone, end in ends]
    ratio = Fraction(SAMPLE_RATE, sample_rate) / teacher.speed
    return resample_poly(sound, ratio.numerator, ratio.denominator).astype(np.float32), phones


def trimmed(sound: np.ndarray, phones: Phones) -> tuple[np.ndarray, Phones]:
    """With BEFORE and AFTER of the silence at both ends, cut or begun by whole frames of 1,920 samples."""
    loud = np.flatnonzero(np.abs(sound) > 0.01)
    if len(loud):
        begin = (int(loud[0]) - round(BEFORE * SAMPLE_RATE)) // FRAME * FRAME
        end = int(loud[-1]) + round(AFTER * SAMPLE_RATE)
        sound = np.pad(sound, (max(0, -begin), max(0, end - len(sound))))[max(0, begin) : end - min(0, begin)]
        phones = [(phone, round(end - begin / SAMPLE_RATE, 3)) for phone, end in phones]
    return np.pad(sound, (0, -len(sound) % FRAME)), phones


def _utterance(asked: tuple[str, str]) -> tuple[np.ndarray, Phones]:
    voice, text = asked
    sound, phones = trimmed(*say(text, VOICES[voice]))
    return (sound.clip(-1, 1) * 32767).astype(np.int16), phones


def sentences(count: int, seed: int) -> list[tuple[str, str]]:
    """(voice, text); as good as no voice says a sentence twice."""
    rng, said = random.Random(seed), set[tuple[str, str]]()
    asked = []
    for i in range(count):
        voice = list(VOICES)[i % len(VOICES)]
        for _ in range(5):
            text = closed(rng) if rng.random() < DOMAIN else opened(rng)
            if (voice, text) not in said:
                break
        said.add((voice, text))
        asked.append((voice, text))
    return asked


def make_speech(work: Path, count: int, seed: int = 0, processes: int = 1) -> None:
    """Writes `count` utterances to the folder, once."""
    index = work / "speech.json"
    if index.exists() and len(json.loads(index.read_text())) >= count:
        return
    work.mkdir(parents=True, exist_ok=True)
    asked, listed = sentences(count, seed), []
    with multiprocessing.Pool(processes) as pool, open(work / "speech.pcm", "wb") as file:
        said = tqdm(pool.imap(_utterance, asked, chunksize=16), total=count, desc="speech", mininterval=5)
        for (voice, text), (samples, phones) in zip(asked, said, strict=True):
            if 0 < len(samples) <= LONGEST * SAMPLE_RATE:
                begin = file.tell() // 2
                listed.append({"voice": voice, "text": text, "begin": begin, "samples": len(samples), "phones": phones})
                file.write(samples.tobytes())
    with whole(index) as begun:
        begun.write_text(json.dumps(listed))


def read_speech(work: Path) -> Iterator[Utterance]:
    samples = np.memmap(work / "speech.pcm", dtype=np.int16, mode="r")
    for entry in json.loads((work / "speech.json").read_text()):
        begin = entry["begin"]
        sound = samples[begin : begin + entry["samples"]]
        yield Utterance(entry["voice"], entry["text"], sound, [(phone, end) for phone, end in entry["phones"]])


def main(arguments: list[str]) -> None:
    options = parser("speech", __doc__)
    options.add_argument("--count", type=int, default=UTTERANCES)
    given = options.parse_args(arguments)
    make_speech(given.work, given.count)
