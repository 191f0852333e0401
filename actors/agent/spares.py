"""Keeps some processes of a node ready for sessions that have lost theirs."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import structlog

from actors.ticks import until_tick
from actors.zygote.spares import spares
from cluster.domain.errors import GatewayError
from cluster.stores.workers import Worker

__all__ = ["Spares", "needed"]

log = structlog.get_logger(__name__)

#: Seconds between looks: while there are too few, and else.
_SOON, _EVERY = 1.0, 5.0
#: From one question how many there shall be to the next: it costs the store a look at all sessions.
_ASK_EVERY = 5.0
#: However many sessions another node has.
_MOST = 50
#: Looks in a row that must find too few: those who take over now need the processor themselves.
_POLLS = 10
#: Seconds that a process has to get ready; starts in a row that may bring nothing.
_PATIENCE, _IN_VAIN = 30.0, 3


def needed(node: str, workers: Sequence[Worker], sessions_per_process: int) -> int:
    """As many as `node` gets sessions' processes when the fullest of the others is lost."""
    most = max((w.sessions for w in workers if w.node != node), default=0)
    heirs = max(1, sum(not w.drained for w in workers) - 1)
    return min(_MOST, max(1, math.ceil(most / heirs / sessions_per_process)))


class Spares:
    """Looks at one node again and again."""

    def __init__(
        self,
        root: Path,
        wanted: Callable[[], Awaitable[int]],
        start: Callable[[], Awaitable[None]],
        *,
        after: float,
    ) -> None:
        """`root`: the node's data folder; `wanted`: how many there shall be; `start` has Ray start
        one. Both may raise `GatewayError`. `after`: seconds from `run` to the first.
        Asked for more than the node has processors, Ray starts so many and forgets the others."""
        self._root = root
        self._wanted = wanted
        self._start = start
        self._after = after
        self._newest = 0
        self._asked_at = float("-inf")

    async def run(self) -> None:
        """Until it is cancelled."""
        clock = asyncio.get_running_loop().time
        few = in_vain = 0
        #: What a start that is under way will have brought, and until when.
        due, until = 0, 0.0
        await asyncio.sleep(self._after)
        while in_vain < _IN_VAIN:
            there = await asyncio.to_thread(spares, self._root)
            enough = there >= await self._how_many()
            if enough:
                few = in_vain = due = 0
            elif due and there >= due:
                # The others need not wait: whoever needed the processor has it.
                few, in_vain, due = _POLLS, 0, 0
            elif due and clock() >= until:
                few, in_vain, due = 0, in_vain + 1, 0
            elif not due:
                few += 1
            if few >= _POLLS:
                few, due, until = 0, there + 1, clock() + _PATIENCE
                try:
                    await self._start()
                except GatewayError as error:
                    log.warning("spares.not_started", error=error.detail)
            await asyncio.sleep(until_tick(_EVERY if enough else _SOON))
        # Else they would pile up, uncounted.
        log.error("spares.given_up", tries=in_vain)

    async def _how_many(self) -> int:
        now = asyncio.get_running_loop().time()
        if now < self._asked_at + _ASK_EVERY:
            return self._newest
        try:
            self._newest = await self._wanted()
            self._asked_at = now
        except GatewayError as error:
            log.debug("spares.as_before", error=error.detail)
        return self._newest
