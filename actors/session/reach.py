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
        self._look: asyncio.Task[None] | None = None
        #: Done while WhatsApp is not reached.
        self.away: asyncio.Future[None] = self._loop.create_future()

    @contextmanager
    def sends(self) -> Iterator[None]:
        """Around what WhatsApp has to answer."""
        self._sends += 1
        timer = self._loop.call_later(_STALLED, self._look_on)
        try:
            yield
            self._turn(away=False)
        finally:
            self._sends -= 1
            timer.cancel()

    def close(self) -> None:
        if self._look is not None:
            self._look.cancel()

    def _look_on(self) -> None:
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._looking(), name="whatsapp reach")

    async def _looking(self) -> None:
        while self._sends or self.away.done():
            self._turn(away=not await self._connects())
            await asyncio.sleep(_AGAIN)

    def _turn(self, *, away: bool) -> None:
        if away is self.away.done():
            return
        if not away:
            self.away = self._loop.create_future()
            return
        self.away.set_result(None)
        if self._report is not None:
            self._report()
