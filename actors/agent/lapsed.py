"""Sessions whose owner is not heard of any more: said so, before anybody else owns them.

An owner's status is as old as its lease. Each agent looks; the first changes the row and emits the
event. A lease counts as lapsed when the same one was seen for its whole length, and half a second
more, on this process's own clock: an owner without a renewal for so long has fenced itself, and
publishes its status anew when it reacquires. The server's clock decides nothing (fencing.md).

What is seen twice without a renewal is written down for successors on this node.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from actors.session.seen_leases import SeenLeases
from cluster.domain.errors import GatewayError, SessionNotFound
from cluster.domain.session import SessionStatus
from cluster.stores import Stores
from cluster.stores.ownership import Lease

__all__ = ["REASON", "Lapsed"]

log = structlog.get_logger(__name__)

_MORE_SECONDS = 0.5
REASON = "its owner is not heard of: it is taken over"


class Lapsed:
    """Looks again and again."""

    def __init__(
        self,
        stores: Stores,
        settled: float,
        seen: SeenLeases,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`settled`: see `SupervisorSettings`."""
        self._stores = stores
        self._file = seen
        self._written: dict[int, tuple[int, float]] = {}
        self._settled = settled
        self._clock = clock
        #: The lease of each session as it was seen last, and since when.
        self._seen: dict[int, tuple[Lease, float]] = {}

    async def run(self, pause: Callable[[], float]) -> None:
        """Until it is cancelled, with `pause()` seconds in between."""
        while True:
            try:
                await self.once()
            except GatewayError as error:
                # What was seen before counts on: nobody can have renewed meanwhile either, and
                # the row is looked at again when it is changed.
                log.debug("worker.leases_unknown", error=error.detail)
            await asyncio.sleep(pause())

    async def once(self) -> None:
        """Look once. Raises `GatewayError`."""
        leases = {one.session_id: one for one in await self._stores.ownership.leases()}
        # Of the answer: what it shows was renewed before.
        now = self._clock()
        seen, self._seen = self._seen, {i: (lease, now) for i, lease in leases.items()}
        for i, (lease, since) in seen.items():
            if i in leases and leases[i].version == lease.version:
                self._seen[i] = (leases[i], since)
        await self._write_down(
            {i: (one.version, since) for i, (one, since) in self._seen.items() if since < now}
        )
        for session_id, (lease, since) in list(self._seen.items()):
            if lease.shown and now - since > lease.seconds + _MORE_SECONDS:
                await self._emit(session_id, lease)

    async def _write_down(self, unrenewed: dict[int, tuple[int, float]]) -> None:
        """None, as a rule: owners renew more often than this looks."""
        if unrenewed == self._written:
            return
        try:
            await asyncio.to_thread(self._file.write, unrenewed)
        except OSError as error:
            # Successors wait as long as they would without it.
            log.warning("worker.leases_not_written", error=repr(error))
            return
        self._written = unrenewed

    async def _emit(self, session_id: int, lease: Lease) -> None:
        if not await self._stores.sessions.lapsed(session_id, lease, REASON, self._settled):
            return
        log.warning("worker.lease_lapsed", session_id=session_id, epoch=lease.epoch)
        payload = {"status": SessionStatus.STARTING.value, "reason": REASON}
        try:
            await self._stores.events.append(session_id, "session.status", payload)
        except SessionNotFound:
            return
