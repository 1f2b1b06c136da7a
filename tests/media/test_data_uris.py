"""Data URIs, which OpenAI's base64 becomes too."""

import base64
from dataclasses import replace

import pytest

from sglang_omni.media import MediaPolicy
from sglang_omni.media.source import read
from tests.media.refused import refused

BODY = bytes(range(256)) * 1000
ENCODED = base64.b64encode(BODY).decode()
POLICY = MediaPolicy(directory=None)


@pytest.mark.parametrize(
    "source",
    [
        f"data:audio/wav;base64,{ENCODED}",
        f"DATA:;BASE64,{ENCODED}",
        f"data:audio/wav;name=a;base64,\n {ENCODED[:80]}\r\n{ENCODED[80:]} ",
    ],
)
def test_base64(source: str) -> None:
    assert read(source, POLICY, "x") == BODY


def test_percent_encoding() -> None:
    assert read("data:,a%20b", POLICY, "x") == b"a b"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("data:audio/wav;base64,?!", "not valid base64"),
        ("data:audio/wav;base64,abc", "not valid base64"),
        ("data:audio/wav;base64,é", "not valid base64"),
        ("data:audio/wav;base64,http://127.0.0.1/", "not valid base64"),
        ("data:audio/wav;base64,", "empty"),
        ("data:audio/wav", "no comma"),
    ],
)
def test_what_is_no_data(source: str, words: str) -> None:
    refused(source, POLICY, words)


@pytest.mark.parametrize("source", [f"data:;base64,{ENCODED}", "data:," + "a" * 1001, f"data:;base64,{ENCODED[:1340]}"])
def test_too_much_data(source: str) -> None:
    refused(source, replace(POLICY, max_bytes=1000), "larger than")
