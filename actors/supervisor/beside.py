"""Work that is begun in a tick of the supervisor, and does not hold up the rest of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from cluster.domain.errors import GatewayError

__all__ = ["Beside"]

log = structlog.get_logger(__name__)


class Beside:
    """One task for each key, so many of them at once."""

    def __init__(self, name: str, at_once: int) -> None:
        self._name = name
        self._gate = asyncio.Semaphore(at_once)
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def begin(self, key: int, work: Callable[[], Awaitable[None]]) -> None:
        """Do it, unless something is being done for the key."""
        if key not in self._tasks:
            task = asyncio.create_task(self._do(key, work), name=f"{self._name}:{key}")
            self._tasks[key] = task
            task.add_done_callback(lambda _: self._tasks.pop(key, None))

    async def settle(self, seconds: float) -> None:
        """Wait for what is under way, at most so long."""
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=seconds)

    async def _do(self, key: int, work: Callable[[], Awaitable[None]]) -> None:
        async with self._gate:
            try:
                await work()
            except GatewayError as error:
                log.warning("beside.later", work=self._name, key=key, error=error.detail)
            except Exception:
                # The next tick finds it undone, and begins it again.
                log.exception("beside.failed", work=self._name, key=key)
