"""The way in, as callers have it: a load balancer that asks every node's front twice a second,
leaves out who missed twice, and tries elsewhere what broke off there (each request has its key)."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import Any

import httpx

from cluster.domain.errors import Unavailable

__all__ = ["Front"]

_MISSES = 2
#: Bounds on a connection, and on the answer to a check; between checks; seconds.
_CONNECT_SECONDS, _CHECK_SECONDS, _EVERY = 0.5, 0.5, 0.5


class _Balanced(httpx.AsyncBaseTransport):
    def __init__(self, addresses: list[str], port: int) -> None:
        self._port = port
        # A connection that is kept may lead to a machine that is gone: each request makes one.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        self._ways = {one: httpx.AsyncHTTPTransport(limits=limits) for one in addresses}
        self.misses = dict.fromkeys(addresses, _MISSES)
        self._under_way: dict[str, set[asyncio.Task[httpx.Response]]] = {
            one: set() for one in addresses
        }
        self._turn = itertools.count()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        open_ways = [one for one, missed in self.misses.items() if missed < _MISSES]
        if not open_ways:
            raise httpx.ConnectError("no front is healthy")
        first = next(self._turn)
        for number in range(len(open_ways)):
            address = open_ways[(first + number) % len(open_ways)]
            request.url = request.url.copy_with(host=address, port=self._port)
            request.extensions["timeout"]["connect"] = _CONNECT_SECONDS
            task = asyncio.ensure_future(self._ways[address].handle_async_request(request))
            self._under_way[address].add(task)
            try:
                return await task
            except asyncio.CancelledError:
                if not task.cancelled():
                    raise
            except httpx.TransportError:
                pass
            finally:
                self._under_way[address].discard(task)
        raise httpx.ConnectError("no front took it")

    def called_down(self, address: str) -> None:
        for task in list(self._under_way[address]):
            task.cancel()

    async def aclose(self) -> None:
        for way in self._ways.values():
            await way.aclose()


class Front:
    """Takes the place of the chaos suite's gateway."""

    def __init__(self, addresses: list[str], key: str, port: int) -> None:
        self._transport = _Balanced(addresses, port)
        self._port = port
        self.api = httpx.AsyncClient(
            transport=self._transport,
            base_url="http://gateway",
            headers={"X-Api-Key": key},
            timeout=40,
        )
        self._tasks = [asyncio.create_task(self._probe(one)) for one in addresses]

    @property
    def healthy(self) -> list[str]:
        return [one for one, missed in self._transport.misses.items() if missed < _MISSES]

    async def sessions(self) -> dict[str, dict[str, Any]]:
        """All sessions by name. Raises `Unavailable`."""
        try:
            answer = await self.api.get("/api/sessions", params={"all": "true"})
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise Unavailable(f"sessions: {error!r}") from error
        return {one["name"]: one for one in answer.json()}

    async def nodes(self) -> dict[str, str]:
        """Node id to name, of those that are alive and whose agent speaks."""
        try:
            answer = await self.api.get("/api/cluster/nodes")
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise Unavailable(f"nodes: {error!r}") from error
        return {row["id"]: row["name"] for row in answer.json() if row["health"]}

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.api.aclose()

    async def _probe(self, address: str) -> None:
        async with httpx.AsyncClient(timeout=_CHECK_SECONDS, trust_env=False) as client:
            while True:
                well = False
                with contextlib.suppress(httpx.HTTPError):
                    well = (
                        await client.get(f"http://{address}:{self._port}/health/ready")
                    ).is_success
                missed = 0 if well else self._transport.misses[address] + 1
                self._transport.misses[address] = missed
                if missed == _MISSES:
                    self._transport.called_down(address)
                await asyncio.sleep(_EVERY)
