"""One server for the whole session: the demo model, started as a user starts it."""

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from sglang_omni.models.qwen3_omni.demo import trained_model
from tests.e2e.server import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, demo_model: Path) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server") / "log").start()
    yield server
    assert server.stop() < 10
    assert "Traceback" not in server.output()


@pytest.fixture(scope="session")
def client(server: Server) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=120)


@pytest.fixture(scope="session")
def trained() -> Path:
    path = trained_model()
    assert path, "sglang_omni/models/qwen3_omni/demo/trained/ holds no weights"
    return path


@pytest.fixture(scope="session")
def trained_server(tmp_path_factory: pytest.TempPathFactory, trained: Path) -> Iterator[Server]:
    """The server that a user gets who names no model."""
    server = Server(tmp_path_factory.mktemp("trained") / "log", model=None).start()
    yield server
    assert server.stop() < 10
    assert "Traceback" not in server.output()
