"""Waiting for what is to come, and for what must not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

__all__ = ["idle", "stays", "stays_while_blocking", "until"]


async def until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for it; `TimeoutError` when it does not come in time."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - whatever it reads
            await asyncio.sleep(0.01)


async def stays(holds: Callable[[], bool], seconds: float, why: str = "") -> None:
    """It holds now and all the time: what would end it does not come. A busy machine only sees less
    of it."""
    ends = time.monotonic() + seconds
    while True:
        assert holds(), why
        if time.monotonic() >= ends:
            return
        await asyncio.sleep(min(0.05, seconds))


def stays_while_blocking(holds: Callable[[], bool], seconds: float, why: str = "") -> None:
    """The same, for tests without an event loop."""
    ends = time.monotonic() + seconds
    while True:
        assert holds(), why
        if time.monotonic() >= ends:
            return
        time.sleep(0.2)


async def idle(turns: int = 100) -> None:
    """Let every task of this loop go as far as it gets without timers and sockets."""
    for _ in range(turns):
        await asyncio.sleep(0)
