"""The benchmark commands, with small numbers, against the server that runs."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from sglang_omni.benchmark import tap
from sglang_omni.benchmark.processes import cpu_seconds
from tests.e2e.server import ROOT, Server


def test_against_transformers(server: Server):
    command = ["scripts/bench", "against-transformers", "--url", server.url]
    small = ["--text-tokens", "8", "--concurrency", "2", "--repeats", "1"]
    done = subprocess.run([*command, *small], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    *_, agreement, last = done.stdout.splitlines()
    assert agreement == "same text as transformers: 2 of 2"
    assert re.fullmatch(r"speedup: alone \d+\.\dx, concurrent \d+\.\dx", last)


def test_every_process_that_answers_has_its_cpu_time(server: Server):
    taken = cpu_seconds(server.process.pid)
    assert all(taken[name] > 0.1 for name in ("HTTP", "thinker", "detokenizer", "talker", "code2wav")), taken


@pytest.mark.parametrize("workload", ["chat", "speech", "media"])
def test_a_load_is_measured_and_its_answers_are_those_they_get_alone(server: Server, workload: str, tmp_path: Path):
    small = ["--concurrency", "3", "--requests", "6", "--repeats", "1", "--warm-up", "0", "--check-solo"]
    command = ["scripts/bench", "--url", server.url, "--workload", workload, *small, "--output", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    facts, *requests, summary = map(json.loads, (tmp_path / "requests.jsonl").read_text().splitlines())
    assert facts["command"].startswith("sgl-omni bench load --url")
    assert (summary["equal to its solo run"], summary["errors"]) == (6, {})
    for request in requests:
        assert request["workload"] == f"{workload}.jsonl"
        assert 0 < request["first_audio"] < request["total"]
        assert request["audio"] > request["first_chunk"] > 0
        assert (request["first_token"] is None) == (workload == "speech")
    assert "| equal to its solo run | 6 of 6 |" in (tmp_path / "summary.md").read_text()


def test_the_tap_is_measured_in_turns_with_prompts_that_are_not_cached(server: Server):
    ways = tap.Way(server.url, tap.SPOKEN), tap.Way(server.url, order=1)
    times, tokens = tap.measure(ways, words=40, pairs=3)
    assert [len(each) for each in times] == [3, 3]
    assert min(map(min, times)) > 0
    assert tokens > 40
