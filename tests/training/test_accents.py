"""English in other languages' letters."""

import pytest

from training import accents, sounds


def test_every_voice_has_letters_for_every_phone(monkeypatch: pytest.MonkeyPatch) -> None:
    every = accents.TABLE.split("flite")
    phones = [phone for part in every[1:] for phone in part.splitlines()[0].split()]
    assert len(phones) == len(set(phones)) == 40
    for language in accents.VOICES.values():
        assert list(accents.spellings(language)) == phones
    said = {"seven": ("s", "eh", "v", "ah", "n"), "three": ("th", "r", "iy")}
    monkeypatch.setattr(accents, "phones", said.__getitem__)
    assert accents.spelled("seven three", "italian") == "sevan tri"
    assert accents.spelled("three", "czech") == "trí"


def test_voices_with_an_accent_are_trained_with_and_not_evaluated_by() -> None:
    assert set(accents.VOICES) <= {voice for voice, _ in sounds.VOICES["train"]}
    assert not set(accents.VOICES) & {voice for voice, _ in sounds.VOICES["held_out"]}
