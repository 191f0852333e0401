"""Names to addresses for requests to URLs of callers: only permitted addresses come out."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from cluster.domain.errors import Invalid
from cluster.media.addresses import Network, permitted

__all__ = ["GuardedResolver", "guarded_session"]


class GuardedResolver(AbstractResolver):
    """The address that was checked is the one that is connected to."""

    def __init__(self, allowed: Iterable[Network]) -> None:
        self._allowed = list(allowed)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises `OSError` when the name has no address, `Invalid` when one of them is not
        permitted: a name that also points inside is not to be trusted."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                host, port, family=family, type=socket.SOCK_STREAM
            )
        except UnicodeError as error:
            raise OSError(f"no name of a host: {error}") from error
        for entry in found:
            self.check(str(entry[4][0]))
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=int(address[1]),
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """It holds nothing."""

    def check(self, host: str) -> None:
        """Raises `Invalid` when `host` is an address that is not permitted; names pass."""
        try:
            address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
        except ValueError:
            return
        if not permitted(address, self._allowed):
            raise Invalid("the URL leads to an address that is not public", field="url")


def guarded_session(
    resolver: GuardedResolver, *, agent: str, timeout: aiohttp.ClientTimeout, **connector: Any
) -> aiohttp.ClientSession:
    """For requests to URLs of callers. Keeps no cookies and unpacks nothing, as a few bytes may
    unpack to gigabytes; redirects are for who asks. `connector`: of `aiohttp.TCPConnector`.

    The resolver is not asked for an address in the URL itself: `GuardedResolver.check` is.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(resolver=resolver, **connector),
        timeout=timeout,
        headers={"User-Agent": agent, "Accept-Encoding": "identity"},
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )
