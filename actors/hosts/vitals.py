"""A session's process publishes, to Redis, how much memory it takes and what its library keeps: for
dashboards and probes, and no truth."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection

import psutil

from actors.ticks import until_tick
from actors.whatsapp.library import promises
from cluster.stores.cache import Cache

__all__ = ["private_memory", "publish_vitals"]

_SECONDS = 10.0
#: Between two looks at the memory: the kernel walks through all of it, five milliseconds.
_MEMORY_SECONDS = 60.0


def private_memory() -> int:
    """Bytes of this process that no other shares: neither files nor what it was forked with."""
    return int(psutil.Process().memory_full_info().uss)


async def publish_vitals(cache: Cache, sessions: Callable[[], Collection[int]]) -> None:
    """Publish every few seconds, until cancelled: each of the process's sessions with its share."""
    facts = await asyncio.to_thread(promises.facts)
    memory, read_at, had = 0, float("-inf"), 0
    while True:
        found = list(sessions())
        if len(found) != had or time.monotonic() - read_at >= _MEMORY_SECONDS:
            memory = await asyncio.to_thread(private_memory)
            read_at, had = time.monotonic(), len(found)
        share = memory // max(1, len(found))
        status = {"memory": share, "smaller": facts["smaller"]}
        await cache.statuses_put(dict.fromkeys(found, status), 3 * _SECONDS)
        await cache.library_put(facts)
        await asyncio.sleep(until_tick(_SECONDS))
