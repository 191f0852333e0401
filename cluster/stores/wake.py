"""A hint after each commit of events: who delivers them need not poll often.

PostgreSQL serialises commits that notify (a lock over the flush to disk); so the hint is a
statement of its own after the commit, for all sessions of the last milliseconds. A lost hint
costs a little delay: whoever listens polls too.
"""

from __future__ import annotations

import asyncio

import structlog

from cluster.stores.database import Database

__all__ = ["CHANNEL", "EventWaker"]

log = structlog.get_logger(__name__)

CHANNEL = "gateway_events"
_GATHER_SECONDS = 0.005
#: A payload holds 8,000 bytes; more sessions than this are told as `*`.
_MOST = 300


class EventWaker:
    """Tells listeners which sessions have new events."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._touched: set[int] = set()
        self._task: asyncio.Task[None] | None = None

    def touch(self, session_id: int) -> None:
        """The session has a committed new event."""
        self._touched.add(session_id)
        if self._task is None:
            self._task = asyncio.create_task(self._tell(), name="event-waker")

    async def close(self) -> None:
        """Let the last hint out."""
        if self._task is not None:
            await self._task

    async def _tell(self) -> None:
        while self._touched:
            await asyncio.sleep(_GATHER_SECONDS)
            sessions, self._touched = self._touched, set()
            payload = "*" if len(sessions) > _MOST else ",".join(map(str, sorted(sessions)))
            try:
                await self._db.run(
                    "SELECT pg_notify(%(channel)s, %(payload)s)",
                    {"channel": CHANNEL, "payload": payload},
                )
            except Exception as error:  # noqa: BLE001
                # Whatever it is: the next event has a hint of its own.
                log.debug("events.hint_lost", error=repr(error))
        self._task = None
