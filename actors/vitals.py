"""A session's process tells how much memory it takes, to Redis: for dashboards, and no truth."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

import psutil

from cluster.stores.cache import Cache

__all__ = ["private_memory", "tell_vitals"]

_SECONDS = 10.0


def private_memory() -> int:
    """Bytes of this process that no other shares: neither files nor what it was forked with."""
    return int(psutil.Process().memory_full_info().uss)


async def tell_vitals(cache: Cache, sessions: Callable[[], Collection[int]]) -> None:
    """Tell every few seconds, until cancelled: of each of the process's sessions its share."""
    while True:
        found = list(sessions())
        share = private_memory() // max(1, len(found))
        await asyncio.gather(
            *(cache.status_put(one, {"memory": share}, 3 * _SECONDS) for one in found)
        )
        await asyncio.sleep(_SECONDS)
