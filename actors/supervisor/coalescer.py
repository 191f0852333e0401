"""What is asked for one by one, done for all who ask meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

__all__ = ["Coalescer"]


class Coalescer:
    """While it works for some, the next ones gather, and are worked on together."""

    def __init__(self, work: Callable[[set[int]], Awaitable[object]]) -> None:
        self._work = work
        self._turn = asyncio.Lock()
        self._gathered: set[int] = set()
        self._next: asyncio.Task[None] | None = None

    async def do(self, one: int) -> None:
        """Returns when it was worked on. Raises what the work raises, to each who waits for it."""
        if self._next is None:
            self._next = asyncio.create_task(self._work_next(), name="coalesced")
        self._gathered.add(one)
        # Who gives up waiting does not take it from the others.
        await asyncio.shield(self._next)

    async def _work_next(self) -> None:
        async with self._turn:
            these, self._gathered, self._next = self._gathered, set(), None
            await self._work(these)
