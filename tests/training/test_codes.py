"""Speech as codes."""

import math

import numpy as np
import torch

from training.clusters import k_means
from training.codes import HIGHEST, LOWEST, MOMENTS, PHONES, STEPS, Encoder, held, pitch, spelled
from training.speech import FRAME, SAMPLE_RATE, VOICES, Utterance

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


def test_pitch_is_that_of_a_voice_and_goes_on_where_there_is_none() -> None:
    time = torch.arange(10 * FRAME) / SAMPLE_RATE
    for hertz in (80.0, 130.0, 210.0):
        phase = 2 * math.pi * hertz * time
        sound = 0.1 * sum(torch.cos(n * phase) / n for n in range(1, 8))
        sound[4 * FRAME : 6 * FRAME] = 1e-4 * torch.randn(2 * FRAME)
        value, voiced = pitch(sound)
        assert value.shape == voiced.shape == (10, STEPS)
        assert voiced[1:3].all()
        assert not voiced[4:6].flatten()[2:-2].any()
        torch.testing.assert_close(value[1:9].exp(), torch.full((8, STEPS), hertz), rtol=0.03, atol=0)
    value, voiced = pitch(torch.zeros(FRAME))
    assert not voiced.any()
    assert ((value.exp() > LOWEST) & (value.exp() < HIGHEST)).all()


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
