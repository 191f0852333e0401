"""A real HTTP receiver that behaves badly on demand, and remembers what it took."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiohttp import web

T = TypeVar("T")
Fault = Callable[["Received"], Awaitable[web.StreamResponse | None]]


async def eventually(found: Callable[[], Awaitable[T | None]], seconds: float = 20) -> T:
    """The first true answer of `found`; `TimeoutError` when there is none in time."""
    async with asyncio.timeout(seconds):
        while True:
            if answer := await found():
                return answer
            await asyncio.sleep(0.02)


@dataclass(frozen=True)
class Received:
    """One request as it came in; `nth` counts the requests of the receiver."""

    nth: int
    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        return dict(json.loads(self.raw))

    @property
    def seq(self) -> int:
        return int(self.body["gateway"]["seq"])


@dataclass
class Receiver:
    """Counts an event as taken when it answers 2xx."""

    url: str
    tries: list[Received] = field(default_factory=list)
    taken: list[Received] = field(default_factory=list)
    #: Asked before each answer; what it gives instead of None is the answer.
    fault: Fault | None = None

    def by_session(self) -> dict[str, list[int]]:
        """The seqs taken, in the order they were taken in."""
        found: dict[str, list[int]] = defaultdict(list)
        for request in self.taken:
            found[request.body["session"]].append(request.seq)
        return dict(found)

    async def until_taken(self, count: int, seconds: float = 20) -> None:
        async def enough() -> bool:
            return len(self.taken) >= count

        await eventually(enough, seconds)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        came = Received(
            len(self.tries) + 1, request.path, dict(request.headers), await request.read()
        )
        self.tries.append(came)
        if self.fault is not None and (answer := await self.fault(came)) is not None:
            if answer.status < 300:
                self.taken.append(came)
            return answer
        self.taken.append(came)
        return web.Response(text="ok")


@asynccontextmanager
async def receiving(port: int = 0) -> AsyncIterator[Receiver]:
    """A receiver on loopback."""
    receiver = Receiver(url="")
    app = web.Application()
    app.router.add_post("/{tail:.*}", receiver.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    bound = runner.addresses[0][1]
    receiver.url = f"http://127.0.0.1:{bound}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()


async def answers_500(_: Received) -> web.StreamResponse:
    return web.Response(status=500, text="broken on purpose")
