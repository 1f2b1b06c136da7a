"""Which machines media may be fetched from."""

import ipaddress
import socket
import threading
from concurrent.futures import Future
from typing import Any

from sglang_omni.media.deadline import Deadline
from sglang_omni.media.policy import MediaPolicy, refusal

IPV6_UNICAST = ipaddress.IPv6Network("2000::/3")
IPV6_6TO4 = ipaddress.IPv6Network("2002::/16")
IPV6_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""The last 32 bits are the IPv4 address that a gateway connects to."""

Address = tuple[socket.AddressFamily, Any]
"""What a socket needs to connect: its family and the address as that family writes it."""


def addresses(host: str, port: int, policy: MediaPolicy, name: str, deadline: Deadline) -> list[Address]:
    """Where `host`, in ASCII, may be connected to. Of a host with several addresses, all must be public."""
    trusted = any(host == domain or host.endswith(f".{domain}") for domain in map(plain, policy.domains))
    if policy.domains and not trusted:
        raise refusal(name, f"{host} is not among the allowed domains (--allowed-media-domain)")
    found: list[Address] = [(family, address) for family, _, _, _, address in _resolve(host, port, deadline)]
    if not (trusted or policy.private or all(is_public(address[0]) for _, address in found)):
        raise refusal(name, f"{host} is no public address (--allow-private-media)")
    return found


def plain(host: str) -> str:
    """The one way to write a host's name: in ASCII, small letters, without the root's dot."""
    return host.encode("idna").decode().lower().rstrip(".")


def is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip in IPV6_NAT64:
            ip = ipaddress.IPv4Address(ip.packed[-4:])
        elif ip not in IPV6_UNICAST or ip in IPV6_6TO4:
            return False
    return ip.is_global and not ip.is_multicast


def _resolve(host: str, port: int, deadline: Deadline) -> list[Any]:
    """`getaddrinfo`, which has no time limit of its own: past the deadline, its thread is left to itself."""
    found: Future[list[Any]] = Future()

    def resolve() -> None:
        try:
            found.set_result(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except Exception as error:  # for the thread that waits
            found.set_exception(error)

    threading.Thread(target=resolve, name="resolve-media-host", daemon=True).start()
    return found.result(deadline.remaining())
