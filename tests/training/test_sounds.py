import random
import shutil

import numpy as np
import pytest

from training.sounds import (
    ESPEAK_VARIANTS,
    NOISES,
    RATE,
    SPEEDS,
    VOICES,
    Clip,
    digits,
    in_a_room,
    load,
    read_wave,
    save,
    synthesise,
    trimmed,
    write_wave,
)


def test_held_out_voices_and_speeds_and_noises_are_never_trained() -> None:
    assert {name for name, _ in VOICES["train"]} & {name for name, _ in VOICES["held_out"]} == {"espeak"}
    assert not set(ESPEAK_VARIANTS["train"]) & set(ESPEAK_VARIANTS["held_out"])
    for low, high in SPEEDS["held_out"]:
        assert all(high < start or end < low for start, end in SPEEDS["train"])
    assert NOISES["train"] is not NOISES["held_out"]


def test_oh_means_zero() -> None:
    drawn = [digits(random.Random(seed)) for seed in range(300)]
    assert any("oh" in said for said, _ in drawn)
    assert not any("oh" in meant for _, meant in drawn)


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_a_room_changes_a_sound_in_the_same_way_every_time(split) -> None:
    tone = np.sin(np.arange(RATE // 2) * 0.2).astype(np.float32)
    heard = [in_a_room(tone, random.Random(5), split) for _ in range(2)]
    assert np.array_equal(*heard)
    assert heard[0].dtype == np.float32
    assert np.abs(heard[0]).max() <= 1


def test_a_wave_file_keeps_a_sound() -> None:
    tone = 0.5 * np.sin(np.arange(800) * 0.2).astype(np.float32)
    assert np.allclose(read_wave(write_wave(tone)), tone, atol=1e-3)


def test_clips_are_kept_in_a_file(tmp_path) -> None:
    made = [Clip("one", "espeak", np.arange(5, dtype=np.int16)), Clip("two", "espeak", np.arange(7, dtype=np.int16))]
    save(made, tmp_path / "clips.npz")
    for clip, kept in zip(made, load(tmp_path / "clips.npz"), strict=True):
        assert (clip.words, clip.voice) == (kept.words, kept.voice)
        assert np.array_equal(clip.samples, kept.samples)


@pytest.mark.skipif(shutil.which("flite") is None, reason="no flite")
def test_a_synthesiser_speaks() -> None:
    sound = trimmed(synthesise("three five", "flite:slt", random.Random(0), "train"))
    assert RATE // 2 < len(sound) < 3 * RATE
