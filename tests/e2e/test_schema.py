"""Random requests, made from what /openapi.json says: every answer is one that it describes, and none is our fault."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.e2e.server import ROOT, Server

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
RUNS = {
    "positive": ["--mode=positive", f"--checks={CHECKS}"],
    # Of the routes whose schemas are not recursive: for the others schemathesis takes minutes to think of one.
    "negative": [
        "--mode=negative",
        f"--checks={CHECKS},negative_data_rejection",
        *("--include-path-regex", "^(/v1/audio/.*|/v1/detokenize|/generate)$"),
    ],
}


@pytest.mark.parametrize("mode", RUNS)
def test_answers_are_as_described(mode: str, server: Server, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json"),
        *RUNS[mode],
        "--phases=fuzzing",
        "--max-examples=30",
        "--seed=1",
        "--request-timeout=60",
        "--generation-database=none",
        "--suppress-health-check=all",
        "--warnings=off",
        "--no-color",
    ]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "tests.e2e.schema_hooks", "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200)
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
    assert server.health()[0] == 200
    server.wait_until_free()


def test_operators_routes_are_not_shown(server: Server) -> None:
    paths = httpx.get(f"{server.url}/openapi.json").json()["paths"]
    assert {"/v1/chat/completions", "/v1/audio/speech", "/generate", "/v1/completions"} <= paths.keys()
    assert not {"/flush_cache", "/update_weights_from_disk", "/pause_generation", "/server_info"} & paths.keys()
    assert httpx.get(f"{server.url}/server_info").status_code == 200
    assert httpx.get(f"{server.url}/docs").status_code == 200
