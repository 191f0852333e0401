"""Which addresses a URL of a caller may lead to: public ones, and those the operator allows.

Everything else (loopback, private networks, link-local and with it the metadata services of
clouds, multicast, and IPv6 forms that carry such an IPv4 address) is refused. The address that was
checked is the one that is connected to, so a name that changes its mind in between gains nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from cluster.domain.errors import Invalid

__all__ = [
    "allowed_networks",
    "is_public",
    "permitted",
    "permitted_proxy",
    "resolved",
]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.IPv6Network("64:ff9b:1::/48")


def allowed_networks(text: str) -> list[Network]:
    """Read `10.1.0.0/16, fd00::/8`. Raises `ValueError`."""
    return [ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip()]


def is_public(address: Address) -> bool:
    """Whether anybody on the internet has this address, as far as its form says."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address.teredo is not None or address in _NAT64_LOCAL:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def permitted(address: Address, allowed: Iterable[Network]) -> bool:
    """Whether a caller may lead there."""
    return is_public(address) or any(
        address in network for network in allowed if network.version == address.version
    )


async def resolved(host: str, port: int) -> list[Address]:
    """All addresses of a name, or the one that is written there. Raises `Invalid`."""
    try:
        return [ipaddress.ip_address(host.strip("[]").partition("%")[0])]
    except ValueError:
        pass
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Invalid("the URL's host has no address", field="url") from error
    unique = dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found)
    return [ipaddress.ip_address(text) for text in unique]


async def permitted_proxy(url: str, allowed: Iterable[Network]) -> str:
    """The URL of a caller's proxy, with the address in place of its name: the one that was checked
    is the one that is connected to. Raises `Invalid` when it has none, or one that is not
    permitted."""
    parts, networks = urlsplit(url), list(allowed)
    if not parts.hostname or not parts.port:
        raise Invalid("the proxy is not host:port", field="config.proxy.server")
    try:
        addresses = await resolved(parts.hostname, parts.port)
    except Invalid as error:
        raise Invalid("the proxy's host has no address", field="config.proxy.server") from error
    if not all(permitted(address, networks) for address in addresses):
        raise Invalid(
            "the proxy's address is not public; MEDIA_FETCH_ALLOW names the networks that callers "
            "may lead to all the same",
            field="config.proxy.server",
        )
    login, at, _ = parts.netloc.rpartition("@")
    first = addresses[0]
    place = f"[{first}]" if first.version == 6 else str(first)
    return f"{parts.scheme}://{login}{at}{place}:{parts.port}"
