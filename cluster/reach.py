"""Whether an address is reached: asked where a network may swallow packets and say nothing."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

__all__ = ["connects", "way_to_whatsapp"]

_WEB = ("web.whatsapp.com", 443)
#: Connections that are tried, shortly one after the other: on a network that loses packets one may
#: not come to be.
_TRIES = 3


async def connects(host: str, port: int, *, seconds: float, refused: bool = False) -> bool:
    """Whether a TCP connection comes to be within so long; `refused`: the answer when it is, by
    a machine that is reached."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    tries: set[asyncio.Future[bool]] = set()
    try:
        while (left := end - loop.time()) > 0:
            if len(tries) < _TRIES:
                tries.add(asyncio.ensure_future(_connects(host, port, refused=refused)))
                left = min(left, seconds / (2 * _TRIES))
            done, under_way = await asyncio.wait(
                tries, timeout=left, return_when=asyncio.FIRST_COMPLETED
            )
            if any(one.result() for one in done):
                return True
            if not under_way:
                return False
        return False
    finally:
        for one in tries:
            one.cancel()


async def _connects(host: str, port: int, *, refused: bool) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except ConnectionRefusedError:
        return refused
    except OSError:
        return False
    writer.close()
    return True


def way_to_whatsapp(proxy_url: str) -> tuple[str, int]:
    """Host and port that sessions connect to first."""
    if not proxy_url:
        return _WEB
    parts = urlsplit(proxy_url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
