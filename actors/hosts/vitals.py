"""A session's process publishes, to Redis, how much memory it takes and what its library keeps: for
dashboards and probes, and no truth."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

import psutil

from actors.whatsapp.library import promises
from cluster.stores.cache import Cache

__all__ = ["private_memory", "publish_vitals"]

_SECONDS = 10.0


def private_memory() -> int:
    """Bytes of this process that no other shares: neither files nor what it was forked with."""
    return int(psutil.Process().memory_full_info().uss)


async def publish_vitals(cache: Cache, sessions: Callable[[], Collection[int]]) -> None:
    """Publish every few seconds, until cancelled: each of the process's sessions with its share."""
    facts = await asyncio.to_thread(promises.facts)
    while True:
        found = list(sessions())
        share = private_memory() // max(1, len(found))
        await asyncio.gather(
            *(
                cache.status_put(one, {"memory": share, "smaller": facts["smaller"]}, 3 * _SECONDS)
                for one in found
            ),
            cache.library_put(facts),
        )
        await asyncio.sleep(_SECONDS)
