"""What cannot be done while a store is unreachable is done when it is back."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from cluster.domain.errors import NotOwner, Unavailable

__all__ = ["retry_until_available"]

log = structlog.get_logger(__name__)
T = TypeVar("T")


async def retry_until_available(
    work: Callable[[], Awaitable[T]],
    event: str,
    *,
    pauses: tuple[float, float],
    patience: float = math.inf,
    on_unavailable: Callable[[Unavailable], Awaitable[None]] | None = None,
) -> T:
    """What `work()` returns, awaited again for as long as it raises `Unavailable`.

    Each failure is logged as `event` and given to `on_unavailable`, which may raise to end it.
    `pauses`: seconds between tries, at first and at most, doubled each time. Raises everything else
    at once, `NotOwner` too (trying again does not help), and `Unavailable` after `patience`
    seconds.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + patience
    pause, longest = pauses
    while True:
        try:
            return await work()
        except NotOwner:
            raise
        except Unavailable as error:
            if clock() > deadline:
                raise
            log.warning(event, error=error.detail)
            if on_unavailable is not None:
                await on_unavailable(error)
        await asyncio.sleep(pause)
        pause = min(2 * pause, longest)
