"""Downloads that stay away from what is not public."""

import http.client
import ipaddress
import socket
import ssl
import time
from urllib.parse import SplitResult, urljoin, urlsplit

from sglang_omni.media.policy import MediaPolicy, refusal

MAX_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)
CHUNK = 2**16


def fetch(url: str, policy: MediaPolicy, name: str) -> bytes:
    """The body behind an http or https URL. Each redirect's target is checked like the URL itself."""
    deadline = time.monotonic() + policy.fetch_seconds
    try:
        for _ in range(MAX_REDIRECTS + 1):
            connection = _connect(urlsplit(url), policy, name, deadline)
            try:
                response = connection.getresponse()
                if response.status == 200:
                    return _body(connection, response, policy, name, deadline)
                location = response.getheader("Location")
                if response.status not in REDIRECTS or location is None:
                    raise refusal(name, f"the URL answered with status {response.status}")
                url = urljoin(url, location)
            finally:
                connection.close()
    except TimeoutError:
        raise refusal(name, f"the URL did not answer within {policy.fetch_seconds:g} s") from None
    except (OSError, http.client.HTTPException, ValueError):  # ValueError: a port that is no number
        raise refusal(name, "the URL could not be fetched") from None
    raise refusal(name, f"the URL redirects more than {MAX_REDIRECTS} times")


def _connect(url: SplitResult, policy: MediaPolicy, name: str, deadline: float) -> http.client.HTTPConnection:
    """A request sent to the very address that was checked: a name may resolve differently a moment later."""
    if url.scheme not in ("http", "https") or not url.hostname:
        raise refusal(name, "the URL must be http or https")
    port = url.port or (443 if url.scheme == "https" else 80)
    sock = socket.create_connection((_address(url.hostname, port, policy, name), port), timeout=_remaining(deadline))
    if url.scheme == "https":
        sock = ssl.create_default_context().wrap_socket(sock, server_hostname=url.hostname)
    connection = http.client.HTTPConnection(url.hostname, port)
    connection.sock = sock
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    host = url.netloc.rpartition("@")[2]
    connection.request("GET", target, headers={"Host": host, "User-Agent": "sglang-omni", "Accept": "*/*"})
    return connection


def _address(host: str, port: int, policy: MediaPolicy, name: str) -> str:
    """The address to connect to. Of a host with several, all must be public."""
    trusted = any(host == domain or host.endswith("." + domain) for domain in policy.domains)
    if policy.domains and not trusted:
        raise refusal(name, f"{host} is not among the allowed domains (--allowed-media-domain)")
    addresses = [info[4][0] for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    if not (trusted or policy.private or all(map(_is_public, addresses))):
        raise refusal(name, f"{host} has no public address (--allow-private-media)")
    return str(addresses[0])


def _is_public(address: str | int) -> bool:
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return ip.is_global and not ip.is_multicast


def _body(
    connection: http.client.HTTPConnection,
    response: http.client.HTTPResponse,
    policy: MediaPolicy,
    name: str,
    deadline: float,
) -> bytes:
    body = bytearray()
    while True:
        if connection.sock is not None:  # it is handed to the response when the server closes after it
            connection.sock.settimeout(_remaining(deadline))
        chunk = response.read1(CHUNK)
        if not chunk:
            return bytes(body)
        body += chunk
        _remaining(deadline)
        if len(body) > policy.max_bytes:
            raise refusal(name, f"the file is larger than {policy.max_bytes / 2**20:g} MiB")


def _remaining(deadline: float) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds
