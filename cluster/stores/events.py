"""The log of what happened in a session: numbered without gaps, the source of webhooks."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cluster.domain.errors import NotOwner, SessionNotFound
from cluster.stores.database import Database, jsonb

__all__ = ["Event", "EventStore"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One event."""

    #: Unique everywhere, for consumers that drop duplicates.
    id: str
    session_id: int
    #: Grows by one with every event of the session.
    seq: int
    #: `message`, `message.ack`, `session.status` …
    type: str
    payload: dict[str, Any]
    happened_at: datetime


class EventStore:
    """Table `events`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def append(
        self, session_id: int, type: str, payload: dict[str, Any], *, epoch: int | None = None
    ) -> Event:
        """Append an event; with `epoch`, as the owner: raises `NotOwner` when it is stale."""
        row = await self._db.one(
            """
            WITH stream AS (
                UPDATE session_streams SET event_seq = event_seq + 1
                WHERE session_id = %(id)s AND (%(epoch)s::bigint IS NULL OR epoch = %(epoch)s)
                RETURNING event_seq
            )
            INSERT INTO events (session_id, seq, id, type, payload)
            SELECT %(id)s, event_seq, %(event)s, %(type)s, %(payload)s FROM stream
            RETURNING *
            """,
            {
                "id": session_id,
                "epoch": epoch,
                "event": new_event_id(),
                "type": type,
                "payload": jsonb(payload),
            },
        )
        if row is None:
            if epoch is None:
                raise SessionNotFound(str(session_id))
            raise NotOwner(f"epoch {epoch} of session {session_id} is not the newest")
        return Event(**row)

    async def list(
        self, session_id: int, *, after: int = 0, limit: int = 100, types: Sequence[str] = ()
    ) -> list[Event]:
        """Events with a seq above `after`, in order."""
        rows = await self._db.all(
            """
            SELECT * FROM events WHERE session_id = %(id)s AND seq > %(after)s
               AND (%(types)s::text[] = '{}' OR type = ANY(%(types)s))
            ORDER BY seq LIMIT %(limit)s
            """,
            {"id": session_id, "after": after, "limit": limit, "types": list(types)},
        )
        return [Event(**row) for row in rows]


def new_event_id() -> str:
    return f"evt_{uuid.uuid4().hex}"
