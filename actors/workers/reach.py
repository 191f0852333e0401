"""Whether a node reaches WhatsApp: a connection to where its sessions connect, every few seconds.

A session whose way is cut reconnects for ever where it is. The node says so (`workers`), and while
others reach WhatsApp its sessions are handed over to them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import structlog

from cluster.domain.errors import GatewayError

__all__ = ["Reach", "connects", "way_to_whatsapp"]

log = structlog.get_logger(__name__)

#: From one look to the next while all is well, and otherwise; bound on one; seconds.
_EVERY, _SOON, _PATIENCE = 5.0, 0.5, 1.0
#: Looks in a row that change the mind.
_LOOKS = 3
_WEB = ("web.whatsapp.com", 443)


def way_to_whatsapp(proxy_url: str) -> tuple[str, int]:
    """Host and port that sessions connect to first."""
    if not proxy_url:
        return _WEB
    parts = urlsplit(proxy_url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


async def connects(host: str, port: int) -> bool:
    """Whether a TCP connection comes to be within a second."""
    try:
        async with asyncio.timeout(_PATIENCE):
            _, writer = await asyncio.open_connection(host, port)
    except (TimeoutError, OSError):
        return False
    writer.close()
    return True


class Reach:
    """Looks again and again."""

    def __init__(
        self, look: Callable[[], Awaitable[bool]], tell: Callable[[bool], Awaitable[None]]
    ) -> None:
        """`tell`: WhatsApp is away; may raise `GatewayError`."""
        self._look = look
        self._tell = tell
        self._away = False
        self._told: bool | None = None
        self._other = 0

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            soon = await self.once()
            await asyncio.sleep(_SOON if soon else _EVERY)

    async def once(self) -> bool:
        """Look once; whether the next look should come soon."""
        reached = await self._look()
        self._other = self._other + 1 if reached is self._away else 0
        if self._other >= _LOOKS:
            self._away, self._other = not self._away, 0
            log.warning("worker.whatsapp", away=self._away)
        if self._told is not self._away:
            try:
                await self._tell(self._away)
                self._told = self._away
            except GatewayError as error:
                log.debug("worker.reach_not_told", error=error.detail)
        return self._away or self._other > 0 or self._told is not self._away
