"""What every part of the recipe is told, and when it is made."""

from pathlib import Path

import pytest

from training.__main__ import CORES, NEEDS, following
from training.parts import BEGUN_BY, parser


def test_each_form_of_the_recipe_has_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    anew, on = (parser("part", None).parse_args(asked).work for asked in ([], ["--go-on"]))
    assert anew != on
    assert parser("part", None, steps=3).parse_args([]).work == anew
    assert anew.parent == on.parent == tmp_path / "sglang-omni"


def test_a_folder_that_another_form_began_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    asked = ["--work", str(tmp_path)]
    assert parser("part", None).parse_args(asked).work == tmp_path
    with pytest.raises(SystemExit):
        parser("part", None).parse_args([*asked, "--go-on"])
    assert "give another --work" in capsys.readouterr().err
    (tmp_path / BEGUN_BY).unlink()
    assert parser("part", None).parse_args([*asked, "--go-on"]).go_on


def test_a_part_begins_when_what_it_needs_is_there_and_a_core_is_free() -> None:
    done: list[str] = []
    running: list[str] = []
    while len(done) < len(NEEDS):
        begun = following(done, running)
        assert all(set(NEEDS[part]) <= set(done) for part in begun)
        running += begun
        assert 0 < len(running) <= CORES
        done.append(running.pop(0 if len(done) % 3 else -1))
    assert sorted(done) == sorted(NEEDS)


def test_the_longest_parts_run_beside_each_other() -> None:
    assert following([], []) == ["speech", "thinker"]
    assert following(["speech", "codes"], ["thinker"]) == ["talker"]
    assert following(["speech", "codes", "thinker"], ["talker"]) == ["decoder"]
    assert following(["speech", "codes", "talker"], ["thinker"]) == ["decoder"]
