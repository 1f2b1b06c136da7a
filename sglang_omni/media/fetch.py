"""Downloads that stay away from what is not public, and end in time."""

import http.client
import io
import socket
import ssl
import string
from typing import Any
from urllib.parse import SplitResult, quote, urljoin, urlsplit, urlunsplit

from sglang_omni.media.address import addresses, plain
from sglang_omni.media.deadline import Deadline
from sglang_omni.media.policy import MediaPolicy, refusal, too_large

MAX_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)
PORTS = {"http": 80, "https": 443}
CHUNK = 2**16
PATIENCE = 0.5
"""Seconds until a silent download notices that it was cancelled."""


def fetch(url: str, policy: MediaPolicy, name: str, deadline: Deadline | None = None) -> bytes:
    """The body behind an http or https URL. Each redirect's target is checked like the URL itself."""
    deadline = deadline or Deadline(policy.fetch_seconds)
    try:
        for _ in range(MAX_REDIRECTS + 1):
            parts = urlsplit(url)
            with _connect(parts, policy, name, deadline) as sock:
                response = _request(parts, sock, deadline)
                if response.status == 200:
                    return _body(response, policy, name)
                location = response.getheader("Location")
                if response.status not in REDIRECTS or location is None:
                    raise refusal(name, f"the URL answered with status {response.status}")
            url = urljoin(url, location)
            if parts.scheme == "https" and urlsplit(url).scheme == "http":
                raise refusal(name, "the URL redirects from https to http")
    except TimeoutError:
        raise refusal(
            name, f"the URL did not answer in full within {policy.fetch_seconds:g} s (--media-fetch-seconds)"
        ) from None
    except (OSError, http.client.HTTPException, ValueError):  # ValueError: no port, no host name, control characters
        raise refusal(name, "the URL could not be fetched") from None
    raise refusal(name, f"the URL redirects more than {MAX_REDIRECTS} times")


def _connect(url: SplitResult, policy: MediaPolicy, name: str, deadline: Deadline) -> socket.socket:
    """Connected to the very address that was checked: a name may resolve differently a moment later."""
    if url.scheme not in PORTS or not url.hostname:
        raise refusal(name, "the URL must be http or https")
    if url.username is not None or url.password is not None:
        raise refusal(name, "the URL holds a user name or a password, which is not supported")
    port = PORTS[url.scheme] if url.port is None else url.port
    host = plain(url.hostname)
    failed: OSError = OSError("no address")
    for family, address in addresses(host, port, policy, name, deadline):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(deadline.remaining())
            sock.connect(address)
            if url.scheme == "http":
                return sock
            return ssl.create_default_context().wrap_socket(sock, server_hostname=host)
        except OSError as error:
            sock.close()
            deadline.remaining()
            failed = error
    raise failed


def _request(url: SplitResult, sock: socket.socket, deadline: Deadline) -> http.client.HTTPResponse:
    """The answer to GET, read up to its body."""
    sock.settimeout(deadline.remaining())
    connection = http.client.HTTPConnection(_host(url))  # puts its host in the header; asks for no encoding
    connection.sock = sock
    target = quote(urlunsplit(("", "", url.path or "/", url.query, "")), safe=string.punctuation)
    connection.request("GET", target, headers={"User-Agent": "sglang-omni", "Accept": "*/*"})
    response = http.client.HTTPResponse(_Timed(sock, deadline), method="GET")  # type: ignore[arg-type]
    response.begin()
    return response


def _host(url: SplitResult) -> str:
    assert url.hostname is not None
    host = plain(url.hostname)
    host = f"[{host}]" if ":" in host else host
    return host if url.port in (None, PORTS[url.scheme]) else f"{host}:{url.port}"


def _body(response: http.client.HTTPResponse, policy: MediaPolicy, name: str) -> bytes:
    if response.getheader("Content-Encoding", "identity").lower() != "identity":
        raise refusal(name, "the URL answered with a compressed body")  # which nobody asked for
    if (response.length or 0) > policy.max_bytes:
        raise too_large(policy, name)
    body = bytearray()
    while chunk := response.read1(CHUNK):
        body += chunk
        if len(body) > policy.max_bytes:
            raise too_large(policy, name)
    if response.length:
        raise refusal(name, "the download broke off")
    return bytes(body)


class _Timed(io.RawIOBase):
    """What arrives on a socket, until the deadline, however it drips."""

    def __init__(self, sock: socket.socket, deadline: Deadline):
        self._sock = sock
        self._deadline = deadline

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            self._sock.settimeout(min(PATIENCE, self._deadline.remaining()))
            try:
                return self._sock.recv_into(buffer)
            except TimeoutError:
                continue
