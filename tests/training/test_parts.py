"""What every part of the recipe is told."""

from pathlib import Path

import pytest

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
