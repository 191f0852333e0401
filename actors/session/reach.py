"""Whether WhatsApp is reached, asked when a send stays without an answer.

A network that swallows packets says nothing, and the library notices after half a minute (whatsmeow
keepalive.go). So while a send was not acknowledged for a moment a TCP connection is tried to where
the session's own leads. Where none comes to be, callers need not wait any longer for what was
accepted, and the node's agent is asked to look (`actors.agent.reach`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

__all__ = ["WhatsAppReach"]

#: Seconds without an answer after which the way is tried; between tries.
_STALLED, _AGAIN = 0.4, 0.5


class WhatsAppReach:
    """Of one session. Belongs to its event loop."""

    def __init__(
        self, connects: Callable[[], Awaitable[bool]], report: Callable[[], None] | None
    ) -> None:
        """`report`: it is not reached."""
        self._connects = connects
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._sends = 0
        self._probe: asyncio.Task[None] | None = None
        #: Done while WhatsApp is not reached.
        self.unreachable: asyncio.Future[None] = self._loop.create_future()

    @contextmanager
    def sends(self) -> Iterator[None]:
        """Around what WhatsApp has to answer."""
        self._sends += 1
        timer = self._loop.call_later(_STALLED, self._begin_probe)
        try:
            yield
            self._turn(unreachable=False)
        finally:
            self._sends -= 1
            timer.cancel()

    def close(self) -> None:
        if self._probe is not None:
            self._probe.cancel()

    def _begin_probe(self) -> None:
        if self._probe is None or self._probe.done():
            self._probe = asyncio.create_task(self._probe_until_back(), name="whatsapp reach")

    async def _probe_until_back(self) -> None:
        while self._sends or self.unreachable.done():
            self._turn(unreachable=not await self._connects())
            await asyncio.sleep(_AGAIN)

    def _turn(self, *, unreachable: bool) -> None:
        if unreachable is self.unreachable.done():
            return
        if not unreachable:
            self.unreachable = self._loop.create_future()
            return
        self.unreachable.set_result(None)
        if self._report is not None:
            self._report()
