"""Whether it is this process alone that does not reach PostgreSQL.

A supervisor on a node that is cut off from the stores brings no session back, while PostgreSQL and
the sessions of other nodes are well. It cannot distinguish that from an outage, and so asks the
agents of other nodes, through Ray.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from actors.ticks import until_tick

__all__ = ["CutOff"]

#: Seconds from one look to the next, and that an answer may take.
_EVERY = 2.0
#: Looks in a row without an answer, until others are asked.
_MISSED = 2


T = TypeVar("T")


class CutOff(Generic[T]):
    """Looks again and again."""

    def __init__(
        self, ping: Callable[[], Awaitable[bool]], others: Callable[[], Awaitable[T | None]]
    ) -> None:
        """`ping`: asks PostgreSQL; may take for ever. `others`: an agent elsewhere that reaches it,
        if there is one."""
        self._ping = ping
        self._others = others
        self._asking: asyncio.Future[bool] | None = None

    async def found(self) -> T:
        """Return an agent that is better off, once this process is cut off."""
        missed = 0
        while True:
            await asyncio.sleep(until_tick(_EVERY))
            missed = 0 if await self._answered() else missed + 1
            if missed >= _MISSED and (other := await self._others()) is not None:
                return other

    async def _answered(self) -> bool:
        # Not cancelled: the driver would wait for the server to confirm that.
        if self._asking is None:
            self._asking = asyncio.ensure_future(self._ping())
        await asyncio.wait({self._asking}, timeout=_EVERY)
        if not self._asking.done():
            return False
        asked, self._asking = self._asking, None
        return asked.result()
