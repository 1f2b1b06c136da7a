"""Spoken digits, commands and questions from synthetic voices, and what rooms and microphones make of them.

The voices, the kinds of noise and the speeds that synthesisers are asked for are other ones in the held-out split than
in training; what training does to sounds afterwards changes their speeds too.
"""

import io
import random
import subprocess
import tempfile
import wave
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

from training import accents
from training.dialogue import COMMANDS, NUMBERS, SPOKEN_QUESTIONS, Split
from training.errors import MissingTool
from training.parts import whole

RATE = 16_000
DIGITS = NUMBERS[:10]
SPOKEN = (*COMMANDS, *SPOKEN_QUESTIONS)

Sound = NDArray[np.float32]
"""(samples,) at 16 kHz."""

ESPEAK_ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-029", "en-us-nyc")
TRAINED_VARIANTS = (
    "m1 m3 m4 m6 m7 m8 f1 f2 f5 Andy Annie Gene Michael steph paul Mario belinda adam caleb grandma quincy "
    "klatt4 norbert pablo rob shelby victor Denis Diogo max miguel"
)
ESPEAK_VARIANTS: dict[Split, tuple[str, ...]] = {
    "train": (
        "",
        *TRAINED_VARIANTS.split(),
    ),
    "held_out": ("m2", "m5", "f3", "f4", "ed", "linda", "david", "Lee"),
}
VOICES: dict[Split, tuple[tuple[str, float], ...]] = {
    "train": (
        *((f"flite:{name}", 9.0) for name in ("slt", "rms", "kal16")),
        *((f"pico:{language}", 9.0) for language in ("en-US", "en-GB")),
        ("festival:cmu_us_slt_arctic_hts", 4.0),
        *((voice, 2.0) for voice in accents.VOICES),
        ("espeak", 32.0),
    ),
    "held_out": (("flite:awb", 3.0), ("festival:ked_diphone", 1.0), ("espeak", 4.0)),
}
SPEEDS: dict[Split, tuple[tuple[float, float], ...]] = {
    "train": ((0.7, 0.85), (0.9, 1.1), (1.15, 1.4)),
    "held_out": ((0.86, 0.89), (1.11, 1.14)),
}
"""Stretches of time, of 1.0 as a voice speaks by itself."""


@dataclass(frozen=True)
class Clip:
    """`words` in lower case as they are heard, zero also where `oh` is said."""

    words: str
    voice: str
    samples: NDArray[np.int16]


def synthesise(words: str, voice: str, rng: random.Random, split: Split) -> Sound:
    """Speaks with `flite:NAME`, `festival:NAME`, `pico:LANGUAGE` or `espeak`, whose accent, variant and pitch are
    drawn."""
    engine, _, name = voice.partition(":")
    stretch = rng.uniform(*rng.choice(SPEEDS[split]))
    language = accents.VOICES.get(voice, "english")
    if language != "english":
        words = accents.spelled(words, language)
    if engine == "pico":
        return _pico(words, name, stretch, rng)
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        if engine == "flite":
            command = ["flite", "-voice", name, "--setf", f"duration_stretch={stretch:.3f}", "-t", words, file.name]
        elif engine == "festival":
            scheme = f"(begin (voice_{name}) (Parameter.set 'Duration_Stretch {stretch:.3f}))"
            command = ["text2wave", "-eval", scheme, "-o", file.name]
        else:
            variant = rng.choice(ESPEAK_VARIANTS[split])
            accent = rng.choice(ESPEAK_ACCENTS) + (f"+{variant}" if variant else "")
            pitch = str(rng.randint(25, 75))
            command = ["espeak-ng", "-v", accent, "-s", str(round(150 / stretch)), "-p", pitch, "-w", file.name, words]
        said = words.encode("iso8859-2" if language == "czech" else "latin1")
        subprocess.run(command, input=said, check=True, capture_output=True, timeout=60)
        return read_wave(Path(file.name).read_bytes())


def _pico(words: str, language: str, stretch: float, rng: random.Random) -> Sound:
    try:
        import ttspico
    except ImportError as error:
        raise MissingTool("the synthesiser Pico", "ttspico", "pip") from error
    engine = ttspico.TtsEngine(language, str(Path(ttspico.__file__).parents[3] / "languages"))
    engine.rate, engine.pitch = round(100 / stretch), rng.randint(70, 130)
    return np.frombuffer(engine.speak(words), np.int16).astype(np.float32) / 32768


def read_wave(data: bytes) -> Sound:
    with wave.open(io.BytesIO(data)) as file:
        rate = file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
    return (samples if rate == RATE else signal.resample_poly(samples, RATE, rate)).astype(np.float32)


def write_wave(sound: Sound) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(_int16(sound).tobytes())
    return buffer.getvalue()


def _int16(sound: Sound) -> NDArray[np.int16]:
    return (np.clip(sound, -1, 1) * 32767).astype(np.int16)


def trimmed(sound: Sound) -> Sound:
    """Without the silence around it."""
    loud = np.flatnonzero(np.abs(sound) > 0.02 * np.abs(sound).max())
    return sound[max(loud[0] - 400, 0) : loud[-1] + 800] if len(loud) else sound


def digits(rng: random.Random) -> tuple[str, str]:
    """One to five digits, as they are said and as they are meant."""
    meant = [rng.choice(DIGITS) for _ in range(rng.randint(1, 5))]
    said = ["oh" if digit == "zero" and rng.random() < 0.15 else digit for digit in meant]
    separator = ", " if rng.random() < 0.15 else " "
    return separator.join(said), " ".join(meant)


def clip(said: str, meant: str, voice: str, rng: random.Random, split: Split) -> Clip:
    return Clip(meant, voice, _int16(trimmed(synthesise(said, voice, rng, split))))


def clips(seed: int = 0, digit_strings: int = 9000, rounds: int = 60) -> list[Clip]:
    """All clean clips that training uses, some fifteen minutes of a core; every spoken sentence in `rounds` voices."""
    rng = random.Random(seed)
    voices, weights = zip(*VOICES["train"], strict=True)
    wanted = [digits(rng) for _ in range(digit_strings)]
    wanted += [(digit, digit) for digit, _ in product(DIGITS, range(rounds))]
    wanted += [(words, words) for words, _ in product(SPOKEN, range(2 * rounds))]
    jobs = [
        (said, meant, rng.choices(voices, weights)[0], random.Random(f"{seed} {i}"))
        for i, (said, meant) in enumerate(wanted)
    ]

    def make(job: tuple[str, str, str, random.Random]) -> Clip:
        return clip(*job, "train")

    with ThreadPoolExecutor(2) as pool:
        return [made for made in pool.map(make, jobs) if len(made.samples) > RATE // 10]


def save(made: list[Clip], path: Path) -> None:
    lengths = np.array([len(clip.samples) for clip in made])
    samples = np.concatenate([clip.samples for clip in made])
    words, voices = np.array([clip.words for clip in made]), np.array([clip.voice for clip in made])
    with whole(path) as file:
        np.savez(file, lengths=lengths, samples=samples, words=words, voices=voices)


def load(path: Path) -> list[Clip]:
    with np.load(path) as file:
        ends = file["lengths"].cumsum()
        pieces = np.split(file["samples"], ends[:-1])
        return [Clip(str(w), str(v), s) for w, v, s in zip(file["words"], file["voices"], pieces, strict=True)]


def in_a_room(sound: Sound, rng: random.Random, split: Split = "train") -> Sound:
    """Another pitch, timbre, room, distance and noise, with silence around."""
    noise = np.random.default_rng(rng.getrandbits(32))
    if split == "train":
        sound = _resampled(sound, rng.uniform(0.84, 1.2))
    if rng.random() < 0.7:
        sound = _filtered(sound, rng)
    if rng.random() < 0.4:
        sound = _echoed(sound, rng, noise)
    before, after = rng.uniform(0.02, 0.5), rng.uniform(0.05, 0.6)
    sound = np.pad(sound, (int(before * RATE), int(after * RATE)))
    sound = sound / max(np.abs(sound).max(), 1e-4)
    if rng.random() < (0.65 if split == "train" else 0.5):
        decibel = rng.uniform(6, 40) if split == "train" else rng.uniform(15, 30)
        level = np.sqrt(np.mean(sound**2)) * 10 ** (-decibel / 20)
        sound = sound + level * NOISES[split](len(sound), rng, noise)
    return (sound / np.abs(sound).max() * 10 ** rng.uniform(-1.5, -0.05)).astype(np.float32)


def _resampled(sound: Sound, factor: float) -> Sound:
    return np.interp(np.arange(0, len(sound) - 1, factor), np.arange(len(sound)), sound).astype(np.float32)


def _filtered(sound: Sound, rng: random.Random) -> Sound:
    """Louder and softer bands, or a telephone's."""
    spectrum = _spectrum(sound)
    hertz = np.linspace(0, RATE / 2, len(spectrum))
    points = np.array([0, 200, 500, 1000, 2000, 4000, 8000])
    gains = np.interp(hertz, points, [rng.gauss(0, 5) for _ in points])
    if rng.random() < 0.25:
        low, high = rng.uniform(50, 350), rng.uniform(3000, 6000)
        gains = gains - 40 * ((hertz < low) | (hertz > high))
    return _sound(spectrum * 10 ** (gains / 20), len(sound))


def _spectrum(sound: NDArray[Any]) -> NDArray[np.complex64]:
    """Of the sound and some silence, so that its length has small factors: others take ten times as long."""
    return fft.rfft(sound.astype(np.float32), fft.next_fast_len(len(sound), real=True))


def _sound(spectrum: NDArray[Any], length: int) -> Sound:
    return fft.irfft(spectrum.astype(np.complex64), fft.next_fast_len(length, real=True))[:length]


def _echoed(sound: Sound, rng: random.Random, noise: np.random.Generator) -> Sound:
    length = int(rng.uniform(0.05, 0.3) * RATE)
    answer = noise.standard_normal(length) * np.exp(-6 * np.arange(length) / length)
    answer *= rng.uniform(0.1, 0.6) / np.sqrt(np.sum(answer**2))
    answer[0] = 1
    return signal.fftconvolve(sound, answer).astype(np.float32)


def _coloured(length: int, rng: random.Random, noise: np.random.Generator) -> Sound:
    """From white to brown, or a hum with some of it."""
    spectrum = _spectrum(noise.standard_normal(length, dtype=np.float32))
    spectrum /= np.maximum(np.arange(len(spectrum)), 10.0) ** rng.choice([0, 0.5, 1.0])
    result = _unit(_sound(spectrum, length))
    if rng.random() < 0.2:
        result = _unit(result + 2 * np.sin(2 * np.pi * rng.choice([50, 60, 100, 120]) / RATE * np.arange(length)))
    return result


def _machine(length: int, rng: random.Random, noise: np.random.Generator) -> Sound:
    """A fan whose loudness beats, or drops of rain: noise kept for the held-out split."""
    if rng.random() < 0.5:
        band = signal.butter(2, [300, 3000], "band", fs=RATE, output="sos")
        beat = 1 + 0.7 * np.sin(2 * np.pi * rng.uniform(2, 9) / RATE * np.arange(length))
        return _unit(signal.sosfilt(band, noise.standard_normal(length)) * beat)
    drops = noise.standard_normal(length) * (noise.random(length) < 0.002)
    return _unit(signal.lfilter([1], [1, -1.2, 0.6], drops))


def _unit(sound: NDArray[Any]) -> Sound:
    return (sound / max(np.sqrt(np.mean(sound**2)), 1e-9)).astype(np.float32)


NOISES = {"train": _coloured, "held_out": _machine}
