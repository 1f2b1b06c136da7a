"""Local files: those in the allowed directory, and nothing else, however it is spelled."""

import os
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest

from sglang_omni.media import MediaPolicy
from sglang_omni.media.source import read
from tests.media.refused import refused

BODY = bytes(range(256)) * 1000
FLAG = "--allowed-local-media-path"


@pytest.fixture
def policy(tmp_path: Path) -> MediaPolicy:
    """May read `tmp_path/allowed`, beside which lies a secret."""
    allowed = tmp_path / "allowed"
    (allowed / "below").mkdir(parents=True)
    (allowed / "file").write_bytes(BODY)
    (allowed / "below/with space").write_bytes(BODY)
    (allowed / "inner link").symlink_to("below/with space")
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "allowed-too").mkdir()
    (tmp_path / "allowed-too/secret").write_bytes(b"secret")
    return MediaPolicy(directory=allowed)


@pytest.mark.parametrize(
    "source",
    [
        "file",
        "./below/../file",
        "{directory}/file",
        "{directory}/../allowed/file",
        "inner link",
        "file://{directory}/file",
        "FILE://{directory}/file",
        "file://localhost{directory}/below/with%20space",
        "file:{directory}/file",
    ],
)
def test_files_in_the_directory(policy: MediaPolicy, source: str) -> None:
    assert read(source.format(directory=policy.directory), policy, "x") == BODY


@pytest.mark.parametrize(
    "source",
    [
        "../secret",
        "../not-even-there",
        "below/../../secret",
        "{directory}/../secret",
        "{directory}-too/secret",
        "/etc/passwd",
        "/dev/zero",
        "/proc/self/environ",
        "/",
        "file:///etc/passwd",
        "file://{directory}/../secret",
        "file://{directory}/%2e%2e/secret",
        "file://{directory}/..%2Fsecret",
        "file:/etc/passwd",
    ],
)
def test_what_lies_elsewhere_is_refused_whether_it_exists_or_not(policy: MediaPolicy, source: str) -> None:
    refused(source.format(directory=policy.directory), policy, FLAG)


@pytest.mark.parametrize("target", ["../secret", "../not-even-there", "/etc/passwd", "/dev/zero", "/proc/self/environ"])
def test_links_out_of_the_directory(policy: MediaPolicy, target: str) -> None:
    (policy.directory / "link").symlink_to(target)
    refused("link", policy, FLAG)


def test_links_of_directories_out_of_the_directory(policy: MediaPolicy) -> None:
    (policy.directory / "up").symlink_to("..")
    refused("up/secret", policy, FLAG)
    (policy.directory / "below/loop").symlink_to("..")
    assert read("below/loop/below/loop/file", policy, "x") == BODY


def test_the_directory_may_be_a_link_itself(policy: MediaPolicy, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to("allowed")
    assert read(str(tmp_path / "alias/file"), replace(policy, directory=tmp_path / "alias"), "x") == BODY


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("gone", "no such file"),
        ("file/below", "no such file"),
        ("~/file", "no such file"),
        ("~root", "no such file"),
        ("$HOME/file", "no such file"),
        ("%2e%2e/secret", "no such file"),
        ("file?", "no such file"),
        ("nul\0l", "cannot be read"),
        ("a" * 300, "cannot be read"),
        ("a/" * 500_000, "at most 4096 characters"),
        ("below", "not a file"),
        (".", "not a file"),
        ("", "not a file"),
        ("pipe", "not a file"),
        ("socket", "cannot be read"),
        ("circle", "cannot be read"),
        ("file://elsewhere/file", "neither host"),
        ("file://{directory}/file?a=b", "neither host, query"),
        ("file://{directory}/file#a", "neither host, query nor fragment"),
        ("file://[/file", "not a valid URL"),
        ("s3://bucket/file", "s3 URLs are not supported"),
        ("ftp://example.org/file", "ftp URLs are not supported"),
        ("concat://file", "concat URLs are not supported"),
    ],
)
def test_what_is_no_file(policy: MediaPolicy, source: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(policy.directory / "pipe")
    (policy.directory / "circle").symlink_to("circle")
    begun = time.monotonic()
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(policy.directory)  # a socket's path is short
        listener.bind("socket")
        refused(source.format(directory=policy.directory), policy, words)
    assert time.monotonic() - begun < 1


def test_without_a_directory_there_are_no_local_files(policy: MediaPolicy) -> None:
    nowhere = replace(policy, directory=None)
    refused("file", nowhere, FLAG)
    refused(f"file://{policy.directory}/file", nowhere, FLAG)


def test_a_file_of_no_permission(policy: MediaPolicy) -> None:
    if os.geteuid():  # root may read everything
        (policy.directory / "file").chmod(0)
        refused("file", policy, "cannot be read")


def test_a_file_that_is_too_large_is_not_read(policy: MediaPolicy) -> None:
    with open(policy.directory / "sparse", "wb") as file:
        file.truncate(2**40)
    begun = time.monotonic()
    refused("sparse", policy, "larger than 256 MiB")
    assert time.monotonic() - begun < 0.1
    refused("file", replace(policy, max_bytes=1000), "larger than")


def test_refusals_leave_nothing_open(policy: MediaPolicy) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        refused("below", policy, "not a file")
    assert len(os.listdir("/proc/self/fd")) == before
