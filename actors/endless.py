"""Work that goes on for as long as its process: an error in it is logged, and it is begun again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from cluster.telemetry.metrics.meter import METER

__all__ = ["endless"]

log = structlog.get_logger(__name__)

#: Seconds from an error to the next begin, at first and at most; doubled each time.
_FIRST, _LONGEST = 0.5, 30.0
#: Work that went on for so long begins again at once, as it were, seconds.
_SETTLED = 60.0


async def endless(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Await `work()` until it returns; begin it again, after a pause, when it raises."""
    clock = asyncio.get_running_loop().time
    pause = _FIRST
    while True:
        began = clock()
        try:
            return await work()
        except Exception:
            METER.count("work_errors", name)
            log.exception("work.begins_again", work=name, pause=pause)
        if clock() - began > _SETTLED:
            pause = _FIRST
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST)
