from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from transformers import Qwen2TokenizerFast

from tests.entrypoints.fakes import Fake, make


@pytest.fixture(scope="session")
def tokenizer(tiny_model: Path) -> Any:
    return Qwen2TokenizerFast.from_pretrained(tiny_model)


@pytest.fixture
def fake(tokenizer: Any) -> Fake:
    return make(tokenizer)


@pytest.fixture
def client(fake: Fake) -> Iterator[TestClient]:
    with TestClient(fake.app, raise_server_exceptions=False) as client:
        yield client
