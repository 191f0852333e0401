"""What sending limits count: taken from the outbox and the history, so that a takeover keeps it."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.domain.errors import SessionNotFound
from cluster.stores.database import Database, fenced

__all__ = ["PaceFacts", "PacingStore", "Waiting"]

#: Messages that can still matter to the pace: more than any burst.
_LATEST = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class PaceFacts:
    """What a session sent. Times are seconds since the epoch, by the database's clock."""

    now: float
    linked_at: float
    #: Of the last hour.
    sent: tuple[float, ...]
    #: New chats of the last day.
    opened: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """An accepted message that has not been sent."""

    message_id: str
    chat: str
    accepted_at: float
    #: Nothing was exchanged with this chat yet.
    opens: bool


class PacingStore:
    """Tables `chat_openings`, and what is read of `outbox` and `messages`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def facts(self, session_id: int) -> PaceFacts:
        """Raises `SessionNotFound`."""
        row = await self._db.one(_FACTS, {"id": session_id, "latest": _LATEST})
        if row is None:
            raise SessionNotFound
        return PaceFacts(
            now=float(row["now"]),
            linked_at=float(row["linked_at"]),
            sent=tuple(map(float, row["sent"] or ())),
            opened=tuple(map(float, row["opened"] or ())),
        )

    async def knows(self, session_id: int, chat: str) -> bool:
        """Something was exchanged with `chat`, or it was opened before."""
        row = await self._db.one(
            "SELECT chat_known(%(id)s, %(chat)s) AS known",
            {"id": session_id, "chat": chat},
        )
        return bool(row and row["known"])

    async def open(self, session_id: int, epoch: int, chat: str) -> None:
        """Count a new chat, once. Raises `NotOwner`."""
        row = await self._db.one(
            """
            WITH fence AS (
                SELECT session_id FROM session_streams
                WHERE session_id = %(id)s AND epoch = %(epoch)s FOR SHARE
            ), opened AS (
                INSERT INTO chat_openings (session_id, chat)
                SELECT session_id, %(chat)s FROM fence ON CONFLICT DO NOTHING
            )
            SELECT EXISTS (SELECT 1 FROM fence) AS owner
            """,
            {"id": session_id, "epoch": epoch, "chat": chat},
        )
        fenced(row, session_id, epoch)

    async def waiting(self, session_id: int, limit: int) -> list[Waiting]:
        """The accepted messages in their order, `limit` at most."""
        rows = await self._db.all(
            """
            SELECT o.message_id, o.chat, extract(epoch FROM o.accepted_at) AS accepted_at,
                   NOT chat_known(o.session_id, o.chat) AS opens
            FROM outbox o WHERE o.session_id = %(id)s AND o.state = 'accepted'
            ORDER BY o.seq LIMIT %(limit)s
            """,
            {"id": session_id, "limit": limit},
        )
        return [
            Waiting(
                message_id=row["message_id"],
                chat=row["chat"],
                accepted_at=float(row["accepted_at"]),
                opens=bool(row["opens"]),
            )
            for row in rows
        ]

    async def count_waiting(self, session_id: int) -> int:
        """How many accepted messages have not been sent."""
        row = await self._db.one(
            "SELECT count(*) AS n FROM outbox WHERE session_id = %(id)s AND state = 'accepted'",
            {"id": session_id},
        )
        return int(row["n"]) if row else 0


_FACTS = """
    SELECT extract(epoch FROM clock_timestamp()) AS now,
           extract(epoch FROM coalesce(s.linked_at, s.created_at)) AS linked_at,
           (SELECT array_agg(extract(epoch FROM least(sent_at, clock_timestamp())))
              FROM (SELECT sent_at FROM outbox WHERE session_id = s.id
                    ORDER BY seq DESC LIMIT %(latest)s) AS latest
             WHERE sent_at > clock_timestamp() - interval '1 hour') AS sent,
           (SELECT array_agg(extract(epoch FROM opened_at)) FROM chat_openings
             WHERE session_id = s.id
               AND opened_at > clock_timestamp() - interval '1 day') AS opened
    FROM sessions s WHERE s.id = %(id)s
"""
