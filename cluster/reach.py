"""Whether an address is reached: asked where a network may swallow packets and say nothing."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

__all__ = ["connects", "way_to_whatsapp"]

_WEB = ("web.whatsapp.com", 443)


async def connects(host: str, port: int, *, seconds: float, refused: bool = False) -> bool:
    """Whether a TCP connection comes to be within so long; `refused`: the answer when it is, by
    a machine that is reached."""
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(host, port)
    except ConnectionRefusedError:
        return refused
    except (TimeoutError, OSError):
        return False
    writer.close()
    return True


def way_to_whatsapp(proxy_url: str) -> tuple[str, int]:
    """Host and port that sessions connect to first."""
    if not proxy_url:
        return _WEB
    parts = urlsplit(proxy_url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
