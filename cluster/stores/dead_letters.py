"""Events that an endpoint did not take in all its tries. They wait for somebody to replay them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cluster.stores.database import Database

__all__ = ["DeadLetter", "DeadLetterStore"]


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    """One event that one endpoint did not take."""

    id: int
    #: Names the endpoint within the session.
    key: str
    url: str
    seq: int
    event_id: str
    type: str
    #: Tries of all rounds together.
    attempts: int
    #: HTTP status of the last try; None when there was no answer.
    status: int | None
    error: str
    died_at: datetime
    #: When a replay delivered it after all; None while it waits.
    resolved_at: datetime | None


class DeadLetterStore:
    """Table `webhook_dead_letters`, for callers; the webhook store writes it."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def list(
        self,
        session_id: int,
        *,
        key: str | None,
        resolved: bool,
        after: int,
        limit: int,
        ids: Sequence[int] | None = None,
    ) -> list[DeadLetter]:
        """Letters with an id above `after`, oldest first; only `ids` where they are given."""
        rows = await self._db.all(
            """
            SELECT id, key, url, seq, event_id, type, attempts, status, error, died_at, resolved_at
            FROM webhook_dead_letters
            WHERE session_id = %(id)s AND id > %(after)s
              AND (%(key)s::text IS NULL OR key = %(key)s)
              AND (resolved_at IS NOT NULL) = %(resolved)s
              AND (%(ids)s::bigint[] IS NULL OR id = ANY(%(ids)s))
            ORDER BY id LIMIT %(limit)s
            """,
            {
                "id": session_id,
                "key": key,
                "resolved": resolved,
                "after": after,
                "limit": limit,
                "ids": list(ids) if ids is not None else None,
            },
        )
        return [DeadLetter(**row) for row in rows]

    async def of_tenant(
        self, tenant: str, names: Sequence[str] | None, *, before: int | None, limit: int
    ) -> Sequence[tuple[str, DeadLetter]]:
        """Those that wait, newest first, with the names of their sessions; ids below `before`."""
        rows = await self._db.all(
            """
            SELECT s.name AS session, d.id, d.key, d.url, d.seq, d.event_id, d.type, d.attempts,
                   d.status, d.error, d.died_at, d.resolved_at
            FROM webhook_dead_letters d JOIN sessions s ON s.id = d.session_id
            WHERE s.tenant = %(tenant)s AND d.resolved_at IS NULL
              AND (%(names)s::text[] IS NULL OR s.name = ANY(%(names)s::text[]))
              AND (%(before)s::bigint IS NULL OR d.id < %(before)s)
            ORDER BY d.id DESC LIMIT %(limit)s
            """,
            {
                "tenant": tenant,
                "names": None if names is None else list(names),
                "before": before,
                "limit": limit,
            },
        )
        return [(row.pop("session"), DeadLetter(**row)) for row in rows]

    async def delete(self, session_id: int, letter_id: int) -> bool:
        """Give one up; False when there was none."""
        touched = await self._db.run(
            "DELETE FROM webhook_dead_letters WHERE session_id = %(id)s AND id = %(letter)s",
            {"id": session_id, "letter": letter_id},
        )
        return touched > 0
