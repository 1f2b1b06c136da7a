"""Which machines media may be fetched from: public ones, by whatever name and in whatever spelling."""

import socket
import threading
from dataclasses import replace

import pytest

from sglang_omni.media import MediaPolicy
from sglang_omni.media.address import addresses, is_public
from sglang_omni.media.deadline import Deadline
from sglang_omni.media.fetch import fetch
from tests.media.refused import refused

POLICY = MediaPolicy(directory=None)
PRIVATE, DOMAIN = "--allow-private-media", "--allowed-media-domain"


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """A name server of the test's own. What it is asked, it forgets."""
    known: dict[str, list[str]] = {}

    def getaddrinfo(host: str, port: int, *args: object, **options: object) -> list[tuple]:
        if host not in known:
            raise socket.gaierror
        families = ((socket.AF_INET6 if ":" in address else socket.AF_INET, address) for address in known.pop(host))
        return [(family, socket.SOCK_STREAM, 0, "", (address, port)) for family, address in families]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return known


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",  # where clouds tell a machine its credentials
        "172.16.0.1",
        "192.0.0.1",
        "192.0.2.1",
        "192.168.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::127.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::8.8.8.8",
        "100::1",
        "2001::1",  # Teredo
        "2001:db8::1",
        "2002:7f00:1::1",  # 6to4 around 127.0.0.1
        "2002:808:808::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%lo",
        "fec0::1",
        "ff02::1",
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", "2606:4700::1111", "64:ff9b::8.8.8.8"])
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "0177.0.0.1",
        "017700000001",
        "0",
        "127.0.0.1.",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "ｌｏｃａｌｈｏｓｔ",
        "１２７.0.0.1",
        "127。0。0。1",
        "①②⑦.0.0.1",
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::7f00:1]",
        "[64:ff9b::7f00:1]",
        "[fe80::1]",
        "169.254.169.254",
        "[fd00:ec2::254]",
    ],
)
def test_spellings_of_private_addresses(host: str) -> None:
    """Each is refused for its address, before a connection is tried."""
    refused(f"http://{host}:1/", POLICY, PRIVATE)
    refused(f"https://{host}/", POLICY, PRIVATE)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://example.org@127.0.0.1:1/", "user name or a password"),
        ("http://127.0.0.1:1@example.org/", "user name or a password"),
        ("http://user:secret@example.org/", "user name or a password"),
        ("http://@127.0.0.1:1/", "user name or a password"),
        ("http://127.0.0.1:1\\@example.org/", "user name or a password"),
        ("http://127.0.0.1:1#@example.org/", PRIVATE),
        ("http://127.0.0.1:1?@example.org/", PRIVATE),
        ("http://", "must be http or https"),
        ("http:///path", "must be http or https"),
        ("http:127.0.0.1", "must be http or https"),
        ("http://example.org:99999/", "could not be fetched"),
        ("http://example.org:-1/", "could not be fetched"),
        ("http://example.org:port/", "could not be fetched"),
        ("http://[::1/", "could not be fetched"),
        ("http://[example.org]/", "could not be fetched"),
        ("http://a..b/", "could not be fetched"),
        (f"http://{'a' * 64}.org/", "could not be fetched"),
        (f"http://{'a' * 100_000}/", "could not be fetched"),
        ("http://xn--a/", "could not be fetched"),
        ("http://nul\0l/", "could not be fetched"),
    ],
)
def test_urls_that_mislead(names: dict[str, list[str]], url: str, words: str) -> None:
    names["127.0.0.1"] = ["127.0.0.1"]
    refused(url, POLICY, words)


def look_up(host: str, policy: MediaPolicy) -> list[str]:
    return [address[0] for _, address in addresses(host, 80, policy, "x", Deadline(5))]


def test_a_name_of_a_private_address(names: dict[str, list[str]]) -> None:
    names["intranet.example.org"] = ["10.0.0.1"]
    refused("http://intranet.example.org/", POLICY, "intranet.example.org is no public address (--allow-private-media)")


@pytest.mark.parametrize("private", ["127.0.0.1", "::1"])
def test_a_name_with_one_private_address_among_public_ones(names: dict[str, list[str]], private: str) -> None:
    for order in (["8.8.8.8", private], [private, "8.8.8.8"]):
        names["mixed.example.org"] = order
        refused("http://mixed.example.org/", POLICY, PRIVATE)


def test_private_addresses_where_they_are_allowed(names: dict[str, list[str]]) -> None:
    names["a"] = ["10.0.0.1", "::1"]
    assert look_up("a", replace(POLICY, private=True)) == ["10.0.0.1", "::1"]


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org:1/",
        "http://EXAMPLE.org:1/",
        "http://example.org.:1/",
        "http://cdn.example.org:1/",
        "http://ＥＸＡＭＰＬＥ.org:1/",
        "http://bücher.example:1/",
        "http://xn--bcher-kva.example:1/",
    ],
)
def test_allowed_domains_are_trusted_with_any_address(names: dict[str, list[str]], url: str) -> None:
    policy = replace(POLICY, domains=("Example.ORG.", "bücher.example"), fetch_seconds=1)
    for host in ("example.org", "cdn.example.org", "xn--bcher-kva.example"):
        names[host] = ["127.0.0.1"]
    refused(url, policy, "could not be fetched")  # it came to connecting


@pytest.mark.parametrize(
    "host", ["example.com", "badexample.org", "example.org.evil.com", "org", "127.0.0.1", "bucher.example"]
)
def test_other_domains_are_refused_before_they_are_looked_up(names: dict[str, list[str]], host: str) -> None:
    names[host] = ["8.8.8.8"]
    refused(f"http://{host}/", replace(POLICY, domains=("example.org", "bücher.example")), DOMAIN)
    assert host in names


def test_a_name_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: stuck.wait(10))
    refused("http://example.org/", replace(POLICY, fetch_seconds=0.2), "did not answer in full within 0.2 s")
    stuck.set()


def test_the_next_address_is_tried(names: dict[str, list[str]]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        names["two.example.org"] = ["127.0.0.2", "127.0.0.1"]
        policy = replace(POLICY, private=True, fetch_seconds=0.2)
        url = f"http://two.example.org:{server.getsockname()[1]}/"
        refused(url, policy, "did not answer in full")  # a connection was made
        assert server.accept()[1][0] == "127.0.0.1"


def test_the_address_that_was_checked_is_the_one_connected_to(
    names: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name is looked up once: a second answer, of a private address, would come too late."""
    connected = []
    names["rebinding.example.org"] = ["8.8.8.8"]

    def connect(self: socket.socket, address: tuple[str, int]) -> None:
        connected.append(address)
        names["rebinding.example.org"] = ["127.0.0.1"]
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", connect)
    with pytest.raises(Exception, match="could not be fetched"):
        fetch("http://rebinding.example.org/", POLICY, "x")
    assert connected == [("8.8.8.8", 80)]
    assert names
