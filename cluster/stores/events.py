"""The log of what happened in a session: numbered without gaps, the source of webhooks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from cluster.domain.errors import NotOwner, SessionNotFound
from cluster.events.envelope import Event
from cluster.events.event_id import new_event_id
from cluster.stores.database import Database, jsonb
from cluster.stores.notifier import EventNotifier

__all__ = ["Event", "EventStore"]


class EventStore:
    """Table `events`."""

    def __init__(self, database: Database, notifier: EventNotifier) -> None:
        self._db = database
        self._notifier = notifier

    async def append(
        self,
        session_id: int,
        type: str,
        payload: dict[str, Any],
        *,
        epoch: int | None = None,
        event: tuple[str, bool] | None = None,
    ) -> Event | None:
        """Append an event; with `epoch`, as the owner: raises `NotOwner` when it is stale.

        `event`: its id, and whether it may be there already (`EventIds`); None is returned when it
        is.

        A `session.status` is kept with WAHA's `statuses`: the last three with their times.
        """
        row = await self._db.grouped(
            session_id,
            _APPEND_STATUS if type == "session.status" else _APPEND,
            {
                "id": session_id,
                "epoch": epoch,
                "event": event[0] if event else new_event_id(),
                "again": event is not None and event[1],
                "type": type,
                "payload": jsonb(payload),
            },
        )
        if row is None:
            if event is not None and event[1] and await self._owned(session_id, epoch):
                return None
            if epoch is None:
                raise SessionNotFound(str(session_id))
            raise NotOwner(f"epoch {epoch} of session {session_id} is not the newest")
        self._notifier.notify(session_id, type)
        return Event(**row)

    async def _owned(self, session_id: int, epoch: int | None) -> bool:
        row = await self._db.one(
            """
            SELECT 1 AS one FROM session_streams
            WHERE session_id = %(id)s AND (%(epoch)s::bigint IS NULL OR epoch = %(epoch)s)
            """,
            {"id": session_id, "epoch": epoch},
        )
        return row is not None

    def notify_deliveries(self, session_id: int) -> None:
        """Wake who delivers the session's events: there is something to do."""
        self._notifier.notify(session_id)

    async def list(
        self,
        session_id: int,
        *,
        after: int = 0,
        until: int | None = None,
        limit: int = 100,
        types: Sequence[str] = (),
    ) -> list[Event]:
        """Events with a seq above `after` and up to `until`, in order."""
        rows = await self._db.all(
            """
            SELECT id, session_id, seq, type, payload, happened_at, trace
            FROM events WHERE session_id = %(id)s AND seq > %(after)s
               AND (%(until)s::bigint IS NULL OR seq <= %(until)s)
               AND (%(types)s::text[] = '{}' OR type = ANY(%(types)s))
            ORDER BY seq LIMIT %(limit)s
            """,
            {
                "id": session_id,
                "after": after,
                "until": until,
                "limit": limit,
                "types": list(types),
            },
        )
        return [Event(**row) for row in rows]

    async def waiting(
        self, session_id: int, *, after: int, until: int | None, limit: int, types: Sequence[str]
    ) -> tuple[int, Sequence[Event]]:
        """Events of these types with a seq above `after` and up to `until`, in order; and up to
        which seq they were looked for."""
        rows = await self._db.all(
            """
            SELECT s.newest, e.id, e.session_id, e.seq, e.type, e.payload, e.happened_at, e.trace
            FROM (SELECT session_id, least(event_seq, %(until)s) AS newest
                  FROM session_streams WHERE session_id = %(id)s) AS s
            LEFT JOIN LATERAL (
                SELECT id, session_id, seq, type, payload, happened_at, trace FROM events
                WHERE session_id = %(id)s AND seq > %(after)s AND seq <= s.newest
                  AND type = ANY(%(types)s)
                ORDER BY seq LIMIT %(limit)s
            ) AS e ON true
            ORDER BY e.seq
            """,
            {
                "id": session_id,
                "after": after,
                "until": until,
                "limit": limit,
                "types": list(types),
            },
        )
        newest = 0
        for row in rows:
            newest = row.pop("newest")
        return newest, [Event(**row) for row in rows if row["seq"] is not None]

    async def newest(self, session_id: int) -> int:
        """Seq of the session's newest event; 0 when there is none."""
        row = await self._db.one(
            "SELECT event_seq FROM session_streams WHERE session_id = %(id)s", {"id": session_id}
        )
        return int(row["event_seq"]) if row else 0

    async def id_at(self, session_id: int, seq: int) -> str | None:
        """Id of the event with this number; empty when it is not kept any more, None when there was
        none yet."""
        row = await self._db.one(
            """
            SELECT s.event_seq, e.id FROM session_streams s
            LEFT JOIN events e ON e.session_id = s.session_id AND e.seq = %(seq)s
            WHERE s.session_id = %(id)s
            """,
            {"id": session_id, "seq": seq},
        )
        if row is None or (row["id"] is None and seq > row["event_seq"]):
            return None
        return row["id"] or ""

    async def newest_of(self, session_ids: Sequence[int]) -> dict[int, int]:
        """`newest` of many sessions."""
        rows = await self._db.all(
            """
            SELECT session_id, event_seq FROM session_streams WHERE session_id = ANY(%(ids)s)
            """,
            {"ids": list(session_ids)},
        )
        return {row["session_id"]: row["event_seq"] for row in rows}

    async def forget(self, older_than: timedelta, *, most: int = 10_000) -> int:
        """Remove up to `most` events that are older and that no webhook, sink or dead letter
        needs any more; returns how many."""
        return await self._db.run(
            """
            DELETE FROM events e USING (
                SELECT session_id, seq FROM events old
                WHERE happened_at < clock_timestamp() - %(age)s
                  AND NOT EXISTS (SELECT 1 FROM webhooks w
                                  WHERE w.session_id = old.session_id AND w.cursor < old.seq)
                  AND NOT EXISTS (SELECT 1 FROM webhook_dead_letters d
                                  WHERE d.session_id = old.session_id AND d.seq = old.seq
                                    AND d.resolved_at IS NULL)
                LIMIT %(most)s
            ) AS gone
            WHERE e.session_id = gone.session_id AND e.seq = gone.seq
            """,
            {"age": older_than, "most": most},
        )

    async def span(
        self, session_id: int, since: datetime | None, until: datetime | None
    ) -> tuple[int, int] | None:
        """First and last seq of the events of a time range; None when it has none."""
        row = await self._db.one(
            """
            SELECT min(seq) AS first, max(seq) AS last FROM events
            WHERE session_id = %(id)s
              AND (%(since)s::timestamptz IS NULL OR happened_at >= %(since)s)
              AND (%(until)s::timestamptz IS NULL OR happened_at < %(until)s)
            """,
            {"id": session_id, "since": since, "until": until},
        )
        return (row["first"], row["last"]) if row and row["first"] is not None else None


_APPEND = """
    WITH stream AS (
        UPDATE session_streams SET event_seq = event_seq + 1
        WHERE session_id = %(id)s AND (%(epoch)s::bigint IS NULL OR epoch = %(epoch)s)
          AND NOT (%(again)s AND recorded_lately(%(id)s, %(event)s))
        RETURNING event_seq
    )
    INSERT INTO events (session_id, seq, id, type, payload)
    SELECT %(id)s, event_seq, %(event)s, %(type)s, %(payload)s FROM stream
    RETURNING id, session_id, seq, type, payload, happened_at, trace
"""

_APPEND_STATUS = """
    WITH stream AS (
        UPDATE session_streams SET event_seq = event_seq + 1
        WHERE session_id = %(id)s AND (%(epoch)s::bigint IS NULL OR epoch = %(epoch)s)
          AND NOT (%(again)s AND recorded_lately(%(id)s, %(event)s))
        RETURNING event_seq
    ), recent AS (
        SELECT seq, status, happened_at FROM (
            SELECT seq, payload->>'status' AS status, happened_at FROM events
            WHERE session_id = %(id)s AND type = 'session.status' ORDER BY seq DESC LIMIT 2
        ) AS earlier
        UNION ALL
        SELECT event_seq, %(payload)s::jsonb->>'status', clock_timestamp() FROM stream
    )
    INSERT INTO events (session_id, seq, id, type, payload)
    SELECT %(id)s, event_seq, %(event)s, %(type)s,
           %(payload)s::jsonb || jsonb_build_object('statuses', (
               SELECT jsonb_agg(jsonb_build_object(
                   'status', status,
                   'timestamp', (extract(epoch FROM happened_at) * 1000)::bigint) ORDER BY seq)
               FROM recent))
    FROM stream
    RETURNING id, session_id, seq, type, payload, happened_at, trace
"""
