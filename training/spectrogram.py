"""A picture of a spoken answer, for docs/demo.md.

python -m training spectrogram --url http://localhost:8000
"""

import argparse
import base64
import io
import math
from pathlib import Path

import httpx
import numpy as np
import soundfile

ROOT = Path(__file__).parent.parent
QUESTION = "What is two plus three?"
WINDOW, HOP = 1024, 128
LOUDEST, QUIETEST = 0.0, -80.0  # dB


def decibels(sound: np.ndarray) -> np.ndarray:
    """(frequencies, steps) below the loudest, of a sound (samples,)."""
    steps = np.lib.stride_tricks.sliding_window_view(sound, WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(steps * np.hanning(WINDOW), axis=1)).T ** 2
    return 10 * np.log10(np.maximum(power / power.max(), 10 ** (QUIETEST / 10)))


def draw(sound: np.ndarray, rate: int, title: str, file: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    seconds = len(sound) / rate
    figure, (wave, picture) = pyplot.subplots(
        2, 1, sharex=True, figsize=(8, 4.2), height_ratios=(1, 3), layout="constrained"
    )
    wave.plot(np.arange(len(sound)) / rate, sound, linewidth=0.4, color="#204a87")
    wave.set(title=title, yticks=[], xlim=(0, seconds))
    picture.imshow(
        decibels(sound),
        origin="lower",
        aspect="auto",
        extent=(0, seconds, 0, rate / 2000),
        cmap="magma",
        vmin=QUIETEST,
        vmax=LOUDEST,
    )
    picture.set(xlabel="seconds", ylabel="kHz", ylim=(0, 8), xticks=np.arange(math.floor(2 * seconds) + 1) / 2)
    figure.savefig(file, dpi=100)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m training spectrogram", description=__doc__.split("\n")[0])
    parser.add_argument("--url", default="http://localhost:8000", help="of a server (default: %(default)s)")
    parser.add_argument("--question", default=QUESTION)
    parser.add_argument("--voice", default="chelsie")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "answer.png", metavar="PNG")
    options = parser.parse_args(arguments)
    body = {
        "messages": [{"role": "user", "content": options.question}],
        "modalities": ["text", "audio"],
        "audio": {"voice": options.voice, "format": "wav"},
        "temperature": 0,
        "max_tokens": 100,
    }
    answer = httpx.post(f"{options.url}/v1/chat/completions", json=body, timeout=60).raise_for_status().json()
    message = answer["choices"][0]["message"]
    sound, rate = soundfile.read(io.BytesIO(base64.b64decode(message["audio"]["data"])), dtype="float32")
    draw(sound, rate, f"{options.question}  —  {message['content']}", options.output)
    print(f"{options.output}: {message['content']}")
