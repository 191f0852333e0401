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
from typing import Any

import httpcore

from cluster.domain.errors import Invalid

__all__ = ["GuardedBackend", "allowed_networks", "is_public"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.IPv6Network("64:ff9b:1::/48")


def allowed_networks(text: str) -> list[Network]:
    """Read `10.1.0.0/16, fd00::/8`. Raises `ValueError`."""
    return [ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip()]


def is_public(address: Address) -> bool:
    """Whether anybody on the internet has this address, as far as its form tells."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address.teredo is not None or address in _NAT64_LOCAL:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Opens connections to permitted addresses only. Raises `Invalid` for others."""

    def __init__(self, allowed: Iterable[Network]) -> None:
        self._allowed = list(allowed)
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await self._resolve(host, port)
        # All of them must be fine: a name that also points inside is not to be trusted.
        for address in addresses:
            if not self._permitted(address):
                raise Invalid("the URL leads to an address that is not public", field="url")
        last: Exception | None = None
        for address in addresses[:4]:
            try:
                return await self._inner.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
        raise last or httpcore.ConnectError(f"no address of {host} answers")

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise Invalid("the URL leads to a socket of this machine", field="url")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def _permitted(self, address: Address) -> bool:
        return is_public(address) or any(
            address in network for network in self._allowed if network.version == address.version
        )

    @staticmethod
    async def _resolve(host: str, port: int) -> list[Address]:
        try:
            return [ipaddress.ip_address(host.strip("[]").partition("%")[0])]
        except ValueError:
            pass
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                host, port, type=socket.SOCK_STREAM
            )
        except (OSError, UnicodeError) as error:
            raise Invalid("the URL's host has no address", field="url") from error
        unique = dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found)
        return [ipaddress.ip_address(text) for text in unique]
