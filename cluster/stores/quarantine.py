"""What arrived and could not be understood or recorded. It waits for somebody to look at it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cluster.domain.errors import NotFound
from cluster.domain.printable import printable
from cluster.events.event_id import new_event_id
from cluster.stores.database import Database, fenced, jsonb
from cluster.stores.notifier import EventNotifier

__all__ = ["QuarantineStore", "Quarantined"]

#: Bytes of one entry that are kept, and of all of a session; and how many of a session.
_ENTRY, _BYTES, _ENTRIES = 1_048_576, 16_777_216, 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Quarantined:
    """One of them."""

    id: int
    #: What the library calls it: `Message`, `Receipt` …
    kind: str
    #: Why it is here.
    error: str
    #: Bytes of it as it came.
    size: int
    at: datetime


class QuarantineStore:
    """Table `quarantine`."""

    def __init__(self, database: Database, notifier: EventNotifier) -> None:
        self._db = database
        self._notifier = notifier

    async def put(
        self, session_id: int, epoch: int, *, kind: str, entry: bytes, error: str
    ) -> None:
        """Keep it, with an `event.quarantined`; the oldest make room. The same entry twice is one.
        Raises `NotOwner`."""
        row = await self._db.one(
            """
            WITH fence AS (
                SELECT session_id FROM session_streams
                WHERE session_id = %(id)s AND epoch = %(epoch)s FOR UPDATE
            ), kept AS (
                INSERT INTO quarantine (session_id, kind, error, entry, size)
                SELECT session_id, %(kind)s, %(error)s, %(entry)s, %(size)s FROM fence
                WHERE NOT EXISTS (SELECT 1 FROM quarantine q WHERE q.session_id = %(id)s
                                  AND q.size = %(size)s AND q.entry = %(entry)s)
                RETURNING id
            ), stream AS (
                UPDATE session_streams SET event_seq = event_seq + 1
                WHERE session_id = %(id)s AND EXISTS (SELECT 1 FROM kept)
                RETURNING event_seq
            ), event AS (
                INSERT INTO events (session_id, seq, id, type, payload)
                SELECT %(id)s, event_seq, %(event)s, 'event.quarantined',
                       %(payload)s::jsonb || jsonb_build_object('id', kept.id)
                FROM stream, kept
            ), crowded AS (
                DELETE FROM quarantine WHERE id IN (
                    SELECT id FROM (
                        SELECT id, row_number() OVER newest AS n,
                               sum(octet_length(entry)) OVER newest AS bytes
                        FROM quarantine WHERE session_id = %(id)s
                        WINDOW newest AS (ORDER BY id DESC)
                    ) AS counted WHERE n >= %(entries)s OR bytes > %(bytes)s)
            )
            SELECT EXISTS (SELECT 1 FROM fence) AS owner
            """,
            {
                "id": session_id,
                "epoch": epoch,
                "kind": kind,
                "error": printable(error),
                "entry": entry[:_ENTRY],
                "size": len(entry),
                "event": new_event_id(),
                "payload": jsonb({"kind": kind, "error": error, "size": len(entry)}),
                "entries": _ENTRIES,
                # The new one is not among those counted.
                "bytes": _BYTES - len(entry[:_ENTRY]),
            },
        )
        fenced(row, session_id, epoch)
        self._notifier.notify(session_id, "event.quarantined")

    async def list(self, session_id: int, *, before: int | None, limit: int) -> list[Quarantined]:
        """Newest first, with ids below `before`."""
        rows = await self._db.all(
            """
            SELECT id, kind, error, size, at FROM quarantine
            WHERE session_id = %(id)s AND (%(before)s::bigint IS NULL OR id < %(before)s)
            ORDER BY id DESC LIMIT %(limit)s
            """,
            {"id": session_id, "before": before, "limit": limit},
        )
        return [Quarantined(**row) for row in rows]

    async def entry(self, session_id: int, id: int) -> bytes:
        """What the library said, or the beginning of it. Raises `NotFound`."""
        row = await self._db.one(
            "SELECT entry FROM quarantine WHERE session_id = %(session)s AND id = %(id)s",
            {"session": session_id, "id": id},
        )
        if row is None:
            raise NotFound("there is no such entry")
        return bytes(row["entry"])

    async def delete(self, session_id: int, id: int) -> None:
        """Raises `NotFound`."""
        touched = await self._db.run(
            "DELETE FROM quarantine WHERE session_id = %(session)s AND id = %(id)s",
            {"session": session_id, "id": id},
        )
        if not touched:
            raise NotFound("there is no such entry")
