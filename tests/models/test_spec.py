import pytest

from sglang_omni.errors import ConfigError
from sglang_omni.models.spec import StageOptions


@pytest.mark.parametrize("nothing", [{"slots": 0}, {"slots": -1}, {"threads": 0}])
def test_a_stage_that_could_serve_nobody_is_refused(nothing: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="at least"):
        StageOptions("model", **nothing)
