"""A session's process tells how much memory it takes, to Redis: for dashboards, and no truth."""

from __future__ import annotations

import asyncio

import psutil

from cluster.stores.cache import Cache

__all__ = ["private_memory", "tell_vitals"]

_SECONDS = 10.0


def private_memory() -> int:
    """Bytes of this process that no other shares (resident less shared pages; Linux)."""
    found = psutil.Process().memory_info()
    return int(found.rss - getattr(found, "shared", 0))


async def tell_vitals(cache: Cache, session_id: int) -> None:
    """Tell every few seconds, until cancelled."""
    while True:
        await cache.status_put(session_id, {"memory": private_memory()}, 3 * _SECONDS)
        await asyncio.sleep(_SECONDS)
