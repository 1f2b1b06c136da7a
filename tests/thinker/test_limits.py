"""What cannot run beside a talker is refused before anything starts."""

from pathlib import Path

import pytest
from sglang.srt.server_args import ServerArgs

from sglang_omni.errors import ConfigError
from sglang_omni.thinker.limits import REFUSED, check_server_args

PAGE = Path(__file__).parents[2] / "docs/configuration.md"


def test_the_page_names_them_all():
    section = PAGE.read_text().split("## What cannot run beside a talker")[1].split("\n## ")[0]
    assert [option for _, option, _ in REFUSED.values() if f"`{option}`" not in section] == []


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


@pytest.mark.parametrize(
    ("field", "option", "value"),
    [
        ("cuda_graph_backend_prefill", "--cuda-graph-backend-prefill", "breakable"),
        ("cuda_graph_config", "--cuda-graph-config", {"prefill": {"backend": "full"}}),
    ],
)
def test_graphs_of_prompts_are_refused(field, option, value):
    with pytest.raises(ConfigError, match=rf"^{option} \((breakable|full) for prefill\) replays .* --text-only$"):
        check_server_args(ServerArgs("anywhere", **{field: value}))


@pytest.mark.parametrize(
    "arguments",
    [
        {"cuda_graph_backend_prefill": "disabled"},
        {"cuda_graph_config": {"prefill": {"backend": "disabled"}, "decode": {"backend": "full"}}},
        {"cuda_graph_backend_decode": "full"},
    ],
)
def test_other_graphs_are_fine(arguments):
    check_server_args(ServerArgs("anywhere", **arguments))
