"""Phones as codes."""

import torch

from training.clusters import k_means
from training.phones import AHEAD, MOMENTS, PHONES, PhoneticCodes, held


def test_a_frame_holds_what_is_said_in_each_of_its_moments() -> None:
    labels = held([("pau", 0.02), ("t", 0.08), ("uw", 0.2)], frames=3)
    names = [[PHONES[label] for label in frame] for frame in labels.tolist()]
    assert names[0] == ["pau"] * 2 + ["t"] * 6 + ["uw"] * AHEAD
    assert names[1] == ["uw"] * (MOMENTS + AHEAD)
    assert names[2] == ["uw"] * (MOMENTS + AHEAD)  # after the end, as at the end


def test_codes_stand_for_the_phones_they_were_made_of() -> None:
    torch.manual_seed(0)
    first, second = torch.randint(len(PHONES), (2, 400, 1))
    turns = torch.randint(MOMENTS, (400, 1))
    labels = torch.where(torch.arange(MOMENTS + AHEAD) < turns, first, second)
    codes = PhoneticCodes(64)
    codes.start(labels)
    found = codes(labels)
    assert found.shape == (400, 2)
    assert found.max() < 64
    assert (codes.likeliest(found) == labels).float().mean() > 0.6
    assert (codes.likeliest(found.flip(0)) == labels).float().mean() < 0.2


def test_clusters_far_apart_are_found() -> None:
    torch.manual_seed(0)
    centres = torch.eye(5) * 100
    points = (centres[:, None] + torch.randn(5, 40, 5)).flatten(0, 1)
    found = k_means(points, 5)
    assert torch.cdist(centres, found).min(1).values.max() < 1
