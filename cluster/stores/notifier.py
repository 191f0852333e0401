"""A notification after each commit of events: who waits for them need not poll often.

Who follows events live hears of all; who delivers them, of those that some endpoint of the session
wants: to select others would cost more than the events themselves.

PostgreSQL serialises commits that notify (a lock over the flush to disk); so the notification is
a statement of its own after the commit, for all sessions of the last milliseconds. A lost one
costs a little delay: whoever listens polls too.
"""

from __future__ import annotations

import asyncio
import time

import structlog

from cluster.events.names import expand
from cluster.stores.database import Database

__all__ = ["DELIVERIES", "EVENTS", "EventNotifier"]

log = structlog.get_logger(__name__)

#: Channels: of every event, and of those that an endpoint wants.
EVENTS, DELIVERIES = "gateway_events", "gateway_deliveries"
_GATHER_SECONDS = 0.005
#: From one notification to the next: dispatchers poll no more often (`actors.delivery.dispatcher`).
_BETWEEN_SECONDS = 0.02
#: A payload holds 8,000 bytes; more sessions than this are sent as `*`.
_MOST = 300


class EventNotifier:
    """Notifies listeners which sessions have new events."""

    def __init__(self, database: Database) -> None:
        self._db = database
        #: (session, type of the event; empty: wakes whoever delivers)
        self._changed: set[tuple[int, str]] = set()
        self._task: asyncio.Task[None] | None = None
        #: Monotonic seconds.
        self._published_at = float("-inf")

    def notify(self, session_id: int, *types: str) -> None:
        """The session has committed new events of these types; without any, there is something to
        deliver, whoever wants it."""
        self._changed.update((session_id, one) for one in types or ("",))
        if self._task is None:
            self._task = asyncio.create_task(self._publish(), name="event-notifier")

    async def close(self) -> None:
        """Send the last notification."""
        if self._task is not None:
            await self._task

    async def _publish(self) -> None:
        while self._changed:
            since = time.monotonic() - self._published_at
            await asyncio.sleep(max(_GATHER_SECONDS, _BETWEEN_SECONDS - since))
            self._published_at = time.monotonic()
            changed, self._changed = sorted(self._changed), set()
            try:
                await self._db.run(
                    _NOTIFY,
                    {
                        "ids": [session_id for session_id, _ in changed],
                        "types": [type for _, type in changed],
                        "all": _ALL,
                        "events": EVENTS,
                        "deliveries": DELIVERIES,
                        "most": _MOST,
                    },
                )
            except Exception as error:  # noqa: BLE001
                # Whatever it is: the next event has a notification of its own.
                log.debug("events.notification_lost", error=repr(error))
        self._task = None


#: What `*` means, as an array of PostgreSQL's: it takes longer to make than all the rest.
_ALL = "{" + ",".join(sorted(expand(["*"]))) + "}"

_NOTIFY = """
    WITH changed AS (
        SELECT id, type FROM unnest(%(ids)s::bigint[], %(types)s::text[]) AS changed(id, type)
    ), wanted AS (
        SELECT id FROM changed
        WHERE type = '' OR EXISTS (
            SELECT 1 FROM webhooks w, jsonb_array_elements_text(
                CASE jsonb_typeof(w.config->'events') WHEN 'array' THEN w.config->'events'
                                                      ELSE '[]' END) AS name
            WHERE w.session_id = changed.id
              AND (btrim(name) = type OR (btrim(name) = '*' AND type = ANY(%(all)s::text[]))))
    ), notifications AS (
        SELECT %(events)s AS channel, array_agg(DISTINCT id) AS ids FROM changed
        UNION ALL
        SELECT %(deliveries)s, array_agg(DISTINCT id) FROM wanted
    )
    SELECT pg_notify(channel, CASE WHEN cardinality(ids) > %(most)s THEN '*'
                                   ELSE array_to_string(ids, ',') END)
    FROM notifications WHERE ids IS NOT NULL
"""
