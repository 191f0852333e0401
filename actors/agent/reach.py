"""Whether a node reaches WhatsApp: a connection to where its sessions connect, every few seconds.

A session whose way is cut reconnects for ever where it is. The node says so (`workers`), and while
others reach WhatsApp its sessions are handed over to them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from cluster.domain.errors import GatewayError

__all__ = ["PATIENCE", "Reach"]

log = structlog.get_logger(__name__)

#: Bound on one look; from one to the next while all is well, and otherwise; seconds.
PATIENCE = 0.6
_EVERY, _SOON = 5.0, 0.25
#: Looks in a row that change the mind.
_PROBES = 3


class Reach:
    """Looks again and again."""

    def __init__(
        self, probe: Callable[[], Awaitable[bool]], report: Callable[[bool], Awaitable[None]]
    ) -> None:
        """`report`: WhatsApp is unreachable; may raise `GatewayError`."""
        self._probe = probe
        self._report = report
        self._unreachable = False
        self._reported: bool | None = None
        self._other = 0
        self._asked = asyncio.Event()

    def probe_now(self) -> None:
        """A session had no answer, and got no connection: a look of its own."""
        self._asked.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            soon = await self.once()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), _SOON if soon else _EVERY)

    async def once(self) -> bool:
        """Look once; whether the next look should come soon."""
        asked, reached = self._asked.is_set(), await self._probe()
        self._asked.clear()
        if reached is not self._unreachable:
            self._other = 0
        else:
            # That of a session is the first of its row.
            self._other += 1 + (asked and not reached and not self._other)
        if self._other >= _PROBES:
            self._unreachable, self._other = not self._unreachable, 0
            log.warning("worker.whatsapp", unreachable=self._unreachable)
        if self._reported is not self._unreachable:
            try:
                await self._report(self._unreachable)
                self._reported = self._unreachable
            except GatewayError as error:
                log.debug("worker.reach_not_reported", error=error.detail)
        return self._unreachable or self._other > 0 or self._reported is not self._unreachable
