"""Keeps some processes of a node ready for sessions that have lost theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from actors.spare import spares
from cluster.domain.errors import GatewayError

__all__ = ["Spares"]

log = structlog.get_logger(__name__)

_EVERY = 1.0
#: Looks in a row that must find too few: those who take over now need the processor themselves.
_LOOKS = 10
#: Seconds that a process has to get ready; starts in a row that may bring nothing.
_PATIENCE, _IN_VAIN = 30.0, 3


class Spares:
    """Looks at one node again and again."""

    def __init__(self, root: Path, wanted: int, start: Callable[[int], Awaitable[None]]) -> None:
        """`root`: the node's data folder; `start` has Ray start so many, and may raise
        `GatewayError`."""
        self._root = root
        self._wanted = wanted
        self._start = start

    async def run(self) -> None:
        """Until it is cancelled."""
        few = in_vain = 0
        clock = asyncio.get_running_loop().time
        busy_until = 0.0
        while self._wanted and in_vain < _IN_VAIN:
            there = await asyncio.to_thread(spares, self._root)
            if there:
                in_vain = 0
            if there >= self._wanted:
                few, busy_until = 0, 0.0
            elif clock() >= busy_until:
                few += 1
            if few >= _LOOKS:
                few, in_vain, busy_until = 0, in_vain + 1, clock() + _PATIENCE
                try:
                    await self._start(self._wanted - there)
                except GatewayError as error:
                    log.warning("spares.not_started", error=error.detail)
            await asyncio.sleep(_EVERY)
        if self._wanted:
            # Else they would pile up, uncounted.
            log.error("spares.given_up", tries=in_vain)
