"""Speech as codes."""

import math

import numpy as np
import pytest
import torch

from training.clusters import k_means
from training.codes import MOMENTS, PHONES, STEPS, Encoder, beats, held, spelled
from training.speech import AFTER, BEFORE, FRAME, SAMPLE_RATE, VOICES, Utterance, trimmed

SIZE = 128


def test_a_frame_holds_what_is_said_in_each_of_its_moments() -> None:
    labels = held([("pau", 0.02), ("t", 0.08), ("uw", 0.2)], frames=3)
    names = [[PHONES[label] for label in frame] for frame in labels.tolist()]
    assert names == [["pau"] * 2 + ["t"] * 6, ["uw"] * 8, ["uw"] * 8]  # after the end, as at the end
    around = held([("pau", 0.02), ("t", 0.08), ("uw", 0.2)], frames=3, beside=2)
    assert around[:, 2:-2].equal(labels)
    assert around[1, :2].equal(labels[0, -2:])
    assert around[1, -2:].equal(labels[2, :2])


def test_a_spelling_tells_every_moment_of_up_to_three_phones() -> None:
    rng = np.random.default_rng(0)
    now, moments = int(rng.integers(len(PHONES))), []
    while len(moments) < 400 * MOMENTS:
        now = int(rng.choice([phone for phone in range(len(PHONES)) if phone != now]))
        moments += [now] * int(rng.integers(4, 15))  # so that a frame holds three at most
    labels = torch.tensor(moments[: 400 * MOMENTS]).view(-1, MOMENTS)
    codes = spelled(labels)
    assert codes.max() < SIZE
    before, found = labels[0, 0], []
    for last, middle, times in codes.tolist():
        began, middle_began = times // MOMENTS, times % MOMENTS
        assert last % 3 == (began > 0) + (began > MOMENTS // 2)
        frame = torch.full((MOMENTS,), last // 3)
        frame[:began] = before
        if middle:
            assert (middle - 1) % 2 == (middle_began > 3)
            frame[middle_began:began] = (middle - 1) // 2
        found.append(frame)
        before = frame[-1]
    assert torch.stack(found).equal(labels)


def test_beats_are_where_a_voice_of_that_pitch_has_its_pulses() -> None:
    time = torch.arange(10 * FRAME) / SAMPLE_RATE
    for hertz in (87.5, 200.0):  # so many periods fit into a frame
        for shift in (0.0, 0.25, 0.5):
            sound = sum(torch.cos(2 * math.pi * n * (hertz * time - shift)) / n for n in range(1, 8)) / 10
            sound[4 * FRAME : 6 * FRAME] = 1e-4 * torch.randn(2 * FRAME)
            found = beats(sound, hertz)
            assert found.shape == (10, STEPS, 3)
            assert found[4:6].flatten(0, 1)[2:-2].eq(0).all()
            turn = 2 * math.pi * shift
            wanted = torch.tensor([1.0, math.sin(turn), math.cos(turn)]).expand(2, STEPS, 3)
            torch.testing.assert_close(found[1:3], wanted, atol=0.05, rtol=0)
            torch.testing.assert_close(found[7:9], wanted, atol=0.05, rtol=0)
    assert beats(sound, 130.0)[1:3, :, 0].mean() < 0.5
    assert beats(torch.zeros(FRAME), 200.0).eq(0).all()


@pytest.mark.parametrize("begin", [0, 100, 3 * FRAME - 1, 9 * FRAME + 7])
def test_a_sound_that_is_trimmed_begins_after_a_silence_and_keeps_its_place_in_its_frames(begin: int) -> None:
    sound = np.zeros(begin + 3 * FRAME + 1000, np.float32)
    sound[begin : begin + 3 * FRAME] = 0.5
    second = begin / SAMPLE_RATE
    found, phones = trimmed(sound, [("pau", second), ("aa", second + 0.24)])
    assert len(found) % FRAME == 0
    first, last = np.flatnonzero(found)[[0, -1]]
    assert last - first == 3 * FRAME - 1
    assert (first - begin) % FRAME == 0
    assert 0 <= first - BEFORE * SAMPLE_RATE < FRAME
    assert 0 <= len(found) - last - AFTER * SAMPLE_RATE < FRAME + 1
    assert [phone for phone, _ in phones] == ["pau", "aa"]
    assert [end for _, end in phones] == pytest.approx([first / SAMPLE_RATE, first / SAMPLE_RATE + 0.24], abs=1e-3)


def test_codes_tell_the_voice_and_what_phones_do_not() -> None:
    rng = np.random.default_rng(0)

    def utterance(voice: str) -> Utterance:
        names = rng.choice(PHONES[1:], 12)
        phones = [(str(name), 0.09 * (i + 1)) for i, name in enumerate(names)]
        samples = (3000 * rng.standard_normal(14 * FRAME)).astype(np.int16)
        return Utterance(voice, "", samples, phones)

    encoder = Encoder(6, SIZE)
    utterances = [utterance(voice) for voice in VOICES for _ in range(20)]
    encoder.learn(utterances)
    for one in utterances[::7]:
        codes = encoder(one)
        assert codes.shape == (14, 6)
        assert codes[:, :3].equal(spelled(held(one.phones, 14)))
        assert (codes[:, 3] // (SIZE // len(VOICES)) == list(VOICES).index(one.voice)).all()
        assert codes.min() >= 0
        assert codes.max() < SIZE


def test_clusters_far_apart_are_found() -> None:
    torch.manual_seed(0)
    centres = torch.eye(5) * 100
    points = (centres[:, None] + torch.randn(5, 40, 5)).flatten(0, 1)
    found = k_means(points, 5)
    assert torch.cdist(centres, found).min(1).values.max() < 1
