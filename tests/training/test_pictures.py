import math
import random

import numpy as np
import pytest

from sglang_omni.media.policy import MediaPolicy
from sglang_omni.media.video import decode_video
from training.pictures import FRAMES, LARGEST, PAINTS, SMALLEST, film, mp4, picture, png


@pytest.mark.parametrize("seed", range(8))
def test_a_picture_shows_as_many_objects_apart_as_it_says(seed: int) -> None:
    made = picture(random.Random(seed))
    assert png(made.image) == png(picture(random.Random(seed)).image)
    assert all(SMALLEST <= side <= LARGEST for side in made.image.size)
    assert len(made.places) == made.number
    for i, (x, y, radius) in enumerate(made.places):
        assert all(math.dist((x, y), other[:2]) > radius + other[2] for other in made.places[:i])
        usual, spread = PAINTS[made.colour]
        at = made.image.getpixel((round(x), round(y)))
        assert isinstance(at, tuple)
        assert np.abs(np.subtract(at, usual)).max() <= spread + 1


@pytest.mark.parametrize("seed", range(4))
def test_a_film_survives_its_container(seed: int) -> None:
    made = film(random.Random(seed))
    read = decode_video(mp4(made), MediaPolicy(), "film", lambda total, rate: [0, total - 1])
    assert (read.total, len(made.frames)) == (FRAMES, FRAMES)
    assert np.abs(read.frames.astype(float) - made.frames[[0, -1]]).mean() < 12


def test_only_chosen_frames_are_drawn_and_are_the_same() -> None:
    whole, chosen = film(random.Random(3)), film(random.Random(3), [0, 10])
    assert np.array_equal(whole.frames[[0, 10]], chosen.frames)
