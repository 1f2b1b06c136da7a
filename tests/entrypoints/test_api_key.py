"""SGLang's --api-key covers our routes: added as SGLang adds it, after ours."""

from collections.abc import Iterator

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from sglang.srt.utils.auth import add_api_key_middleware

from sglang_omni.entrypoints.openapi import OURS
from tests.entrypoints.fakes import Fake

OPEN = {"/health", "/metrics"}  # for probes and for Prometheus, as in SGLang


@pytest.fixture
def client(fake: Fake) -> Iterator[TestClient]:
    add_api_key_middleware(fake.app, api_key="sesame", admin_api_key=None)
    with TestClient(fake.app, raise_server_exceptions=False) as client:
        yield client


def ours(fake: Fake) -> list[tuple[str, str]]:
    """(method, path) of every route of ours."""
    routes = [route for route in fake.app.router.routes if isinstance(route, APIRoute) and OURS in route.tags]
    return [(method, route.path) for route in routes for method in route.methods]


def test_nothing_without_the_key(client: TestClient, fake: Fake) -> None:
    closed = [(method, path) for method, path in ours(fake) if path not in OPEN]
    assert len(closed) >= 7
    for method, path in closed:
        for headers in {}, {"Authorization": "Bearer other"}, {"Authorization": "sesame"}:
            response = client.request(method, path, headers=headers)
            assert response.status_code == 401, (method, path)
            assert response.json()["error"]["code"] == "invalid_api_key"


def test_with_the_key(client: TestClient, fake: Fake) -> None:
    for method, path in ours(fake):
        response = client.request(method, path, headers={"Authorization": "Bearer sesame"})
        assert response.status_code != 401, (method, path)


def test_health_and_metrics_are_open(client: TestClient) -> None:
    for path in OPEN:
        assert client.get(path).status_code == 200


def test_refusals_for_want_of_a_key_are_counted(client: TestClient) -> None:
    client.post("/v1/audio/speech", json={"input": "hi"})
    line = 'sglang_omni:requests_total{outcome="refused",route="none"} 1.0'
    assert line in client.get("/metrics").text
