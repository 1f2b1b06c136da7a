"""The teacher's voices: flite says sentences, whose sound is kept as 24 kHz PCM."""

import json
import multiprocessing
import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly
from tqdm import tqdm

from training.errors import MissingTool
from training.parts import parser
from training.sentences import closed, opened

VOICES = {"chelsie": "slt", "ethan": "rms"}
"""Ours, and flite's whose sound it learns."""

SAMPLE_RATE, FRAME = 24_000, 1920
BEFORE, AFTER = 0.04, 0.16
"""Seconds of near silence that are left in front of the words and behind them."""

UTTERANCES = 14_000
LONGEST = 10.0
"""Seconds of an utterance."""


@dataclass(frozen=True)
class Utterance:
    voice: str
    text: str
    samples: np.ndarray  # (frames * 1920,) int16 at 24 kHz

    @property
    def waveform(self) -> np.ndarray:
        return self.samples.astype(np.float32) / 32768


def say(text: str, teacher: str, rate: float = 1.0) -> np.ndarray:
    """(samples,) float32 at 24 kHz; `rate` above 1 is slower. Raises MissingTool without flite."""
    if shutil.which("flite") is None:
        raise MissingTool("the synthesiser flite", "flite")
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        command = ["flite", "-voice", teacher, "--setf", f"duration_stretch={rate}", "-t", text, "-o", file.name]
        subprocess.run(command, check=True, capture_output=True)
        sound, sample_rate = soundfile.read(file.name, dtype="float32")
    return resample_poly(sound, SAMPLE_RATE, sample_rate).astype(np.float32)


def trimmed(sound: np.ndarray) -> np.ndarray:
    """Without the silence at both ends but for BEFORE and AFTER, filled up to whole frames of 1,920 samples."""
    loud = np.flatnonzero(np.abs(sound) > 0.01)
    before, after = round(BEFORE * SAMPLE_RATE), round(AFTER * SAMPLE_RATE)
    if len(loud):
        sound = np.pad(sound, (before, after))[loud[0] : loud[-1] + before + after]
    return np.pad(sound, (0, -len(sound) % FRAME))


def _utterance(asked: tuple[str, str]) -> np.ndarray:
    voice, text = asked
    return (trimmed(say(text, VOICES[voice])).clip(-1, 1) * 32767).astype(np.int16)


def sentences(count: int, seed: int) -> list[tuple[str, str]]:
    """(voice, text), of which half are the domain's."""
    rng = random.Random(seed)
    voices = list(VOICES)
    return [(voices[i % len(voices)], closed(rng) if rng.random() < 0.5 else opened(rng)) for i in range(count)]


def make_speech(work: Path, count: int, seed: int = 0, processes: int = 1) -> None:
    """Writes `count` utterances to the folder, once."""
    index = work / "speech.json"
    if index.exists() and len(json.loads(index.read_text())) >= count:
        return
    work.mkdir(parents=True, exist_ok=True)
    asked, listed = sentences(count, seed), []
    with multiprocessing.Pool(processes) as pool, open(work / "speech.pcm", "wb") as file:
        said = pool.imap(_utterance, asked, chunksize=16)
        for (voice, text), samples in tqdm(zip(asked, said, strict=True), total=count, desc="speech", mininterval=5):
            if 0 < len(samples) <= LONGEST * SAMPLE_RATE:
                listed.append({"voice": voice, "text": text, "begin": file.tell() // 2, "samples": len(samples)})
                file.write(samples.tobytes())
    index.write_text(json.dumps(listed))


def read_speech(work: Path) -> Iterator[Utterance]:
    samples = np.memmap(work / "speech.pcm", dtype=np.int16, mode="r")
    for entry in json.loads((work / "speech.json").read_text()):
        begin = entry["begin"]
        yield Utterance(entry["voice"], entry["text"], samples[begin : begin + entry["samples"]])


def main(arguments: list[str]) -> None:
    options = parser("speech", __doc__)
    options.add_argument("--count", type=int, default=UTTERANCES)
    given = options.parse_args(arguments)
    make_speech(given.work, given.count)
