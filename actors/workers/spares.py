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
_LOOKS = 3
#: Seconds that a process has to get ready.
_PATIENCE = 30.0


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
        few = 0
        clock = asyncio.get_running_loop().time
        busy_until = 0.0
        while self._wanted:
            there = await asyncio.to_thread(spares, self._root)
            if there >= self._wanted:
                few, busy_until = 0, 0.0
            elif clock() >= busy_until:
                few += 1
            if few >= _LOOKS:
                few, busy_until = 0, clock() + _PATIENCE
                try:
                    await self._start(self._wanted - there)
                except GatewayError as error:
                    log.warning("spares.not_started", error=error.detail)
            await asyncio.sleep(_EVERY)
