"""Downloads from a real server: redirects, sizes, and servers that take their time."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sglang_omni.errors import MediaError
from sglang_omni.media import MediaPolicy
from sglang_omni.media.deadline import Deadline
from sglang_omni.media.fetch import fetch
from sglang_omni.media.source import read
from tests.media.refused import refused

BODY = bytes(range(256)) * 1000
CERTIFICATE = Path(__file__).parents[1] / "data/localhost.pem"
POLICY = MediaPolicy(directory=None, private=True)
HASTY = replace(POLICY, fetch_seconds=0.3)

REDIRECTS = {
    "/hop": "/file",
    "/hop/relative": "../file",
    "/loop": "/loop",
    "/to-a-path": "/etc/passwd",
    "/to-a-file": "file:///etc/passwd",
    "/to-data": "data:,abc",
    "/to-ftp": "ftp://localhost/file",
    "/to-localhost": "http://localhost:{port}/file",
    "/to-a-user": "http://user@127.0.0.1:{port}/file",
    "/to-a-port": "http://127.0.0.1:99999/file",
}
RAW = {
    "/no-http": b"hello\r\n\r\n",
    "/nothing": b"",
    "/half-a-header": b"HTTP/1.1 200 OK\r\nContent-Le",
    "/bad-status": b"HTTP/1.1 abc\r\n\r\n",
    "/long-line": b"HTTP/1.1 200 OK\r\nA: " + b"a" * 100_000 + b"\r\n\r\n",
    "/many-headers": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 1000 + b"\r\n",
    "/no-location": b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
    "/broken-off": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc",
    "/broken-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nabc",
    "/bad-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
    "/chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n",
    "/until-it-closes": b"HTTP/1.0 200 OK\r\n\r\nabcdefg",
    "/large": b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n",
    "/negative": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nabcdefg",
    "/gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    "/continued": b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
}
DRIPPING = {
    "/drip/status": (b"", b"H"),
    "/drip/headers": (b"HTTP/1.1 200 OK\r\n", b"A"),
    "/drip/more-headers": (b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"),
    "/drip/continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "/drip/body": (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
    "/drip/chunk-size": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
    "/drip/chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "/drip/trailers": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"A: b\r\n"),
    "/silent": (b"", b""),
    "/silent/body": (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", b""),
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        port = self.server.server_address[1]
        path, _, query = self.path.partition("?")
        if path == "/file":
            self.answer(200, BODY)
        elif path == "/headers":
            self.answer(200, str(self.headers).encode())
        elif path == "/secure" and query:
            self.answer(302, b"", Location=f"http://127.0.0.1:{query}/file")
        elif path.startswith("/echo"):
            self.answer(200, self.path.encode())
        elif path in REDIRECTS:
            self.answer(302, b"", Location=REDIRECTS[path].format(port=port))
        elif path in RAW:
            self.wfile.write(RAW[path])
        elif path in DRIPPING:
            beginning, drop = DRIPPING[path]
            self.drip(beginning, drop)
        elif path == "/endless":
            self.drip(b"HTTP/1.1 200 OK\r\n\r\n", bytes(2**16), 0)
        else:
            self.answer(404, b"no")

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for header in headers.items():
            self.send_header(*header)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def drip(self, beginning: bytes, drop: bytes, pause: float = 0.05) -> None:
        """Until the client has enough."""
        with suppress(OSError):
            self.wfile.write(beginning)
            while drop:
                self.wfile.write(drop)
                time.sleep(pause)
            self.connection.recv(1)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    yield from serve("http")


@pytest.fixture(scope="module")
def secure() -> Iterator[str]:
    yield from serve("https")


def serve(scheme: str) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if scheme == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"{scheme}://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("path", ["/file", "/file?a=b#c", "/hop", "/hop/relative"])
def test_files(url: str, path: str) -> None:
    assert read(url + path, POLICY, "x") == BODY


@pytest.mark.parametrize(
    ("path", "body"),
    [("/chunks", b"abcdefg"), ("/until-it-closes", b"abcdefg"), ("/negative", b"abcdefg"), ("/continued", b"abc")],
)
def test_ways_to_answer(url: str, path: str, body: bytes) -> None:
    assert read(url + path, POLICY, "x") == body


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("/echo?a=[1]&b=%20c;d|e", "/echo?a=[1]&b=%20c;d|e"),
        ("/echo/über uns?q=é", "/echo/%C3%BCber%20uns?q=%C3%A9"),
        ("/echo/..%2Fa//b/../c", "/echo/..%2Fa//b/../c"),
        ("/echo\r\nX-Injected: 1", "/echoX-Injected:%201"),
    ],
)
def test_a_url_arrives_as_it_is_written(url: str, asked: str, sent: str) -> None:
    assert read(url + asked, POLICY, "x").decode() == sent


def test_what_the_server_is_told(url: str) -> None:
    headers = read(url.replace("127.0.0.1", "LOCALHOST") + "/headers", POLICY, "x").decode()
    assert sorted(headers.split("\n")) == sorted(
        [
            f"Host: localhost:{url.rpartition(':')[2]}",
            "Accept-Encoding: identity",
            "User-Agent: sglang-omni",
            "Accept: */*",
            "",
            "",
        ]
    )


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/missing", "status 404"),
        ("/no-location", "status 302"),
        ("/loop", "redirects more than 5 times"),
        ("/to-a-path", "status 404"),  # of the same server
        ("/to-a-file", "must be http or https"),
        ("/to-data", "must be http or https"),
        ("/to-ftp", "must be http or https"),
        ("/to-a-user", "user name or a password"),
        ("/to-a-port", "could not be fetched"),
        ("/no-http", "could not be fetched"),
        ("/nothing", "could not be fetched"),
        ("/half-a-header", "empty"),
        ("/bad-status", "could not be fetched"),
        ("/long-line", "could not be fetched"),
        ("/many-headers", "could not be fetched"),
        ("/broken-off", "broke off"),
        ("/broken-chunk", "could not be fetched"),
        ("/bad-chunk", "could not be fetched"),
        ("/gzip", "compressed body"),
        ("/large", "larger than 256 MiB"),
    ],
)
def test_answers_that_are_refused(url: str, path: str, words: str) -> None:
    refused(url + path, replace(POLICY, fetch_seconds=5), words)


def test_nobody_answers() -> None:
    refused("http://127.0.0.1:1/file", POLICY, "could not be fetched")


def test_redirects_are_checked_like_urls(url: str) -> None:
    here = replace(POLICY, private=False, domains=("127.0.0.1",))
    assert read(f"{url}/hop", here, "x") == BODY
    refused(f"{url}/to-localhost", here, "localhost is not among the allowed domains (--allowed-media-domain)")


def test_a_redirect_to_a_private_address(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sglang_omni.media.address.is_public", lambda address: address == "127.0.0.1")
    monkeypatch.setitem(REDIRECTS, "/inside", "http://127.0.0.2:{port}/file")
    monkeypatch.setitem(REDIRECTS, "/hop/inside", "/inside")
    public = replace(POLICY, private=False)
    assert read(f"{url}/hop", public, "x") == BODY
    refused(f"{url}/inside", public, "127.0.0.2 is no public address (--allow-private-media)")
    refused(f"{url}/hop/inside", public, "127.0.0.2 is no public address (--allow-private-media)")


def test_more_than_may_be_read(url: str) -> None:
    small = replace(POLICY, max_bytes=1000)
    refused(f"{url}/file", small, "larger than")
    assert read(f"{url}/file", replace(POLICY, max_bytes=len(BODY)), "x") == BODY
    refused(f"{url}/endless", replace(POLICY, max_bytes=10**6), "larger than")


def in_time(read: Callable[[], None]) -> None:
    begun = time.monotonic()
    read()
    assert time.monotonic() - begun < 2


@pytest.mark.parametrize("path", DRIPPING)
def test_a_server_that_takes_its_time(url: str, path: str) -> None:
    in_time(lambda: refused(url + path, HASTY, "did not answer in full within 0.3 s"))


def test_a_download_that_is_cancelled(url: str) -> None:
    for path in ("/drip/body", "/silent"):
        cancelled = threading.Event()
        threading.Timer(0.1, cancelled.set).start()
        begun = time.monotonic()
        with pytest.raises(MediaError):
            fetch(url + path, POLICY, "x", Deadline(30, cancelled))
        assert time.monotonic() - begun < 2


def test_https(secure: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(f"{secure}/file", POLICY, "could not be fetched")  # nobody vouches for the certificate
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    assert read(f"{secure}/file", POLICY, "x") == BODY
    assert read(f"{secure}/hop", POLICY, "x") == BODY
    assert read(secure.replace("127.0.0.1", "localhost") + "/file", POLICY, "x") == BODY
    refused(secure.replace("127.0.0.1", "127.0.0.2") + "/file", POLICY, "could not be fetched")
    refused(f"{secure}/secure?{url.rpartition(':')[2]}", POLICY, "redirects from https to http")
    for path in ("/drip/headers", "/drip/body", "/silent"):
        in_time(partial(refused, secure + path, HASTY, "did not answer in full"))


@pytest.mark.parametrize("beginning", [b"", b"\x16\x03\x03\x40\x00"])
def test_a_handshake_that_takes_its_time(beginning: bytes) -> None:
    """A record of 16 KiB, byte by byte."""

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.send(beginning)
            while True:
                time.sleep(0.05)
                connection.send(beginning[:1])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=drip, args=(listener,), daemon=True).start()
        target = f"https://127.0.0.1:{listener.getsockname()[1]}/file"
        in_time(lambda: refused(target, HASTY, "did not answer in full"))
