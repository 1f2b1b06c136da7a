"""What cannot run beside a talker is refused before anything starts."""

import pytest
from sglang.srt.server_args import ServerArgs

from sglang_omni.errors import ConfigError
from sglang_omni.thinker.limits import REFUSED, check_server_args


def test_the_defaults_are_fine():
    check_server_args(ServerArgs("anywhere"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("enable_hierarchical_cache", True),
        ("enable_lmcache", True),
        ("disaggregation_mode", "prefill"),
        ("speculative_algorithm", "NGRAM"),
        ("pp_size", 2),
    ],
)
def test_refused_with_a_reason(field, value):
    with pytest.raises(ConfigError, match=f"^{REFUSED[field][1]} .* --text-only$"):
        check_server_args(ServerArgs("anywhere", **{field: value}))
