"""Drawn pictures of a few equal objects, and two-second videos whose colour changes or not."""

import io
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from training.dialogue import COLOURS, SHAPES

SECONDS = 2
VIDEO_RATE = 10
"""Frames per second of a video; the server looks at two of a second."""

Colour = tuple[int, int, int]

PAINTS: dict[str, tuple[Colour, int]] = {
    "red": ((215, 25, 30), 28),
    "green": ((35, 160, 50), 30),
    "blue": ((35, 65, 210), 30),
    "yellow": ((245, 225, 40), 14),
    "orange": ((250, 140, 20), 14),
    "purple": ((130, 40, 160), 24),
    "black": ((15, 15, 15), 15),
    "white": ((245, 245, 245), 10),
}
"""Each colour's usual red, green and blue, and how far from it a picture may be."""

SMALLEST, SMALL, LARGEST = 96, 160, 256
"""Pixels of a side."""
SMALL_SHARE = 0.4
"""Of the pictures that are learned from: small ones cost half as much."""


Places = list[tuple[float, float, float]]
"""Centres and radii of objects, in pixels."""


@dataclass(frozen=True)
class Picture:
    image: Image.Image
    places: Places
    colour: str
    shape: str
    number: int


@dataclass(frozen=True)
class Film:
    """`frames` (frames, height, width, 3) in RGB, at `VIDEO_RATE`; the colour before and after, which may be equal."""

    frames: NDArray[np.uint8]
    before: str
    after: str


def picture(rng: random.Random, small: bool = False) -> Picture:
    colour, shape, number = rng.choice(COLOURS), rng.choice(SHAPES), rng.randint(1, 5)
    largest = SMALL if small else LARGEST
    width, height = rng.randint(SMALLEST, largest), rng.randint(SMALLEST, largest)
    paint = _paint(colour, rng)
    canvas = _background(width, height, [paint], rng)
    places = _places(number, width, height, rng)
    image = _with_objects(canvas, places, shape, paint, rng.random() < 0.3, rng)
    return Picture(image, places, colour, shape, number)


FRAMES = SECONDS * VIDEO_RATE


def film(rng: random.Random, chosen: Sequence[int] = range(FRAMES)) -> Film:
    """One or two objects, or the whole picture, at rest or drifting; more than half of the films change colour.

    Only the `chosen` frames are drawn.
    """
    before, other = rng.sample(COLOURS, 2)
    after = other if rng.random() < 0.6 else before
    width, height = (2 * rng.randint(SMALLEST // 2, SMALL // 2) for _ in range(2))
    paints = [_paint(before, rng), _paint(after, rng)]
    if before == after:
        paints[1] = paints[0]
    whole = rng.random() < 0.25
    canvas = _background(width, height, paints, rng)
    shape, turned = rng.choice(SHAPES), rng.random() < 0.3
    places = _places(rng.randint(1, 2), width, height, rng)
    drift = [rng.uniform(-0.08, 0.08) * side for side in (width, height)] if rng.random() < 0.5 else [0.0, 0.0]
    moment = rng.uniform(0.25, 0.75)
    angle = rng.random()
    made = []
    for i in chosen:
        at = i / (FRAMES - 1)
        paint = paints[at > moment]
        if whole:
            made.append(np.full((height, width, 3), paint, np.uint8))
            continue
        moved = [(x + at * drift[0], y + at * drift[1], radius) for x, y, radius in places]
        made.append(np.asarray(_with_objects(canvas, moved, shape, paint, turned, random.Random(angle))))
    return Film(np.stack(made), before, after)


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def mp4(made: Film) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=VIDEO_RATE)
        stream.height, stream.width = made.frames.shape[1:3]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 2_000_000
        for frame in made.frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def _paint(colour: str, rng: random.Random) -> Colour:
    usual, spread = PAINTS[colour]
    common = rng.uniform(-spread, spread) if colour in ("black", "white") else 0
    red, green, blue = (min(max(round(value + (common or rng.uniform(-spread, spread))), 0), 255) for value in usual)
    return red, green, blue


def _background(width: int, height: int, paints: list[Colour], rng: random.Random) -> Image.Image:
    """Plain, shaded or grainy, and unlike the objects everywhere."""
    start = end = _ground(paints, rng)
    if rng.random() < 0.45:
        end = next(made for _ in range(1000) if _apart(start, made := _ground(paints, rng), paints))
    across = np.linspace(0, 1, width)[None, :, None]
    down = np.linspace(0, 1, height)[:, None, None]
    share = rng.choice([across + 0 * down, down + 0 * across, (across + down) / 2])
    canvas = (1 - share) * np.array(start) + share * np.array(end)
    if rng.random() < 0.4:
        noise = np.random.default_rng(rng.getrandbits(32))
        canvas = canvas + rng.uniform(3, 14) * noise.standard_normal((height, width, 1 if rng.random() < 0.5 else 3))
    return Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))


def _apart(start: Colour, end: Colour, paints: list[Colour]) -> bool:
    """Whether the shades between differ from the objects too."""
    between = [[a + share * (b - a) for a, b in zip(start, end, strict=True)] for share in (0.25, 0.5, 0.75)]
    return all(math.dist(shade, paint) > 110 for shade in between for paint in paints)


def _ground(paints: list[Colour], rng: random.Random) -> Colour:
    while True:
        if rng.random() < 0.7:  # greys, pale and dark
            grey = rng.randint(0, 255)
            tint = [grey + rng.randint(-15, 15) for _ in range(3)]
        else:
            tint = [rng.randint(0, 255) for _ in range(3)]
        red, green, blue = (min(max(value, 0), 255) for value in tint)
        if all(math.dist((red, green, blue), paint) > 130 for paint in paints):
            return red, green, blue


def _places(number: int, width: int, height: int, rng: random.Random) -> Places:
    """Centres and radii of objects that do not touch."""
    side = min(width, height)
    largest = {1: 0.42, 2: 0.3, 3: 0.24, 4: 0.21, 5: 0.19}[number]
    while True:
        alike = rng.uniform(0.13, largest) * side
        places: Places = []
        for _ in range(60):
            radius = max(alike * rng.uniform(0.85, 1.1), 11.0)
            x, y = rng.uniform(radius + 2, width - radius - 2), rng.uniform(radius + 2, height - radius - 2)
            if all(math.dist((x, y), other[:2]) > radius + other[2] + 5 for other in places):
                places.append((x, y, radius))
            if len(places) == number:
                return places


def _with_objects(
    canvas: Image.Image,
    places: Places,
    shape: str,
    paint: Colour,
    turned: bool,
    rng: random.Random,
) -> Image.Image:
    """Drawn twice as large, so that edges are smooth."""
    mask = Image.new("L", (2 * canvas.width, 2 * canvas.height))
    draw = ImageDraw.Draw(mask)
    for x, y, radius in places:
        angle = rng.uniform(-0.35, 0.35) if turned else 0.0
        corners = _corners(shape, 2 * x, 2 * y, 2 * radius, angle)
        if corners:
            draw.polygon(corners, fill=255)
        else:
            draw.ellipse((2 * (x - radius), 2 * (y - radius), 2 * (x + radius), 2 * (y + radius)), fill=255)
    result = canvas.copy()
    result.paste(paint, mask=mask.resize(canvas.size, Image.Resampling.BOX))
    return result


def _corners(shape: str, x: float, y: float, radius: float, angle: float) -> list[tuple[float, float]]:
    """None of a circle, whose outline has no corners."""
    if shape == "circle":
        return []
    count, first = {"square": (4, math.pi / 4), "triangle": (3, -math.pi / 2), "star": (10, -math.pi / 2)}[shape]
    inner = 0.42 if shape == "star" else 1.0
    turns = [(first + angle + 2 * math.pi * i / count, radius * (inner if i % 2 else 1.0)) for i in range(count)]
    return [(x + length * math.cos(turn), y + length * math.sin(turn)) for turn, length in turns]
