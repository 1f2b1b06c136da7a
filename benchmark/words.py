"""Whether a sound says its text: recognisers that work offline, and the word error rate."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

RATE = 16_000
DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
Recogniser = Callable[[np.ndarray], str]
"""(samples,) float32 at 16 kHz, to what was understood."""


def words(text: str) -> list[str]:
    """Lower case, without punctuation; a digit is a word."""
    spelled = re.sub(r"\d", lambda digit: f" {DIGITS[int(digit[0])]} ", text.lower().replace("’", "'"))
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", spelled)


def edits(said: Sequence[str], heard: Sequence[str]) -> int:
    """Fewest words to insert, delete or replace (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        before, row = row, [i]
        for j, other in enumerate(heard, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (word != other)))
    return row[-1]


def error_rate(pairs: Sequence[tuple[str, str]]) -> float | None:
    """Of (text, what was understood): all edits over all words of the texts; more than 1 if much was invented."""
    said = [(words(text), words(heard)) for text, heard in pairs]
    total = sum(len(text) for text, _ in said)
    return sum(edits(text, heard) for text, heard in said) / total if total else None


def samples(pcm: bytes, rate: int, channels: int = 1) -> np.ndarray:
    """16-bit PCM as a recogniser hears it."""
    from scipy.signal import resample_poly

    sound = np.frombuffer(pcm, "<i2").reshape(-1, channels).mean(1) / 32768
    return resample_poly(sound, RATE, rate).astype(np.float32)


def recogniser(model: Path | None) -> Recogniser:
    """faster-whisper with the model in a directory, or pocketsphinx. Raises ImportError if it is not installed."""
    return _whisper(model) if model else _pocketsphinx()


def _pocketsphinx() -> Recogniser:
    from pocketsphinx import Decoder

    decoder = Decoder(samprate=RATE, loglevel="FATAL")

    def hear(sound: np.ndarray) -> str:
        decoder.start_utt()
        decoder.process_raw((sound.clip(-1, 1) * 32767).astype("<i2").tobytes(), full_utt=True)
        decoder.end_utt()
        understood = decoder.hyp()
        return understood.hypstr if understood else ""

    return hear


def _whisper(model: Path) -> Recogniser:
    from faster_whisper import WhisperModel

    whisper = WhisperModel(str(model), device="cpu", compute_type="int8")

    def hear(sound: np.ndarray) -> str:
        segments, _ = whisper.transcribe(sound, beam_size=1, condition_on_previous_text=False)
        return " ".join(segment.text for segment in segments)

    return hear
