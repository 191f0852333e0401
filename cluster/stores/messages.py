"""Message history, for reading. Writing it belongs to the outbox and the inbox."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cluster.domain.message import Ack, MessageFilter, StoredMessage
from cluster.stores.database import Database, Row

__all__ = ["MessageStore", "message_of"]

_MAX = 1000


class MessageStore:
    """Table `messages`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def list(self, session_id: int, wanted: MessageFilter) -> Sequence[StoredMessage]:
        """Messages of one chat or all, by time."""
        values = {
            "id": session_id,
            "chat": wanted.chat,
            "from_me": wanted.from_me,
            "since": wanted.timestamp_gte,
            "until": wanted.timestamp_lte,
            "ack": int(wanted.ack) if wanted.ack is not None else None,
            "limit": min(wanted.limit, _MAX),
            "offset": wanted.offset,
        }
        if wanted.ascending:
            rows = await self._db.all(_ASCENDING, values)
        else:
            rows = await self._db.all(_DESCENDING, values)
        return [message_of(row) for row in rows]

    async def find(self, session_id: int, message_id: str) -> Sequence[StoredMessage]:
        """All messages with an id (ids of different senders may be the same), newest first."""
        rows = await self._db.all(
            """
            SELECT * FROM messages WHERE session_id = %(id)s AND message_id = %(message)s
            ORDER BY sent_at DESC LIMIT 10
            """,
            {"id": session_id, "message": message_id},
        )
        return [message_of(row) for row in rows]

    async def unread(
        self, session_id: int, chat: str, limit: int, since: datetime | None = None
    ) -> Sequence[StoredMessage]:
        """Received messages of a chat that were not read yet, newest first."""
        rows = await self._db.all(
            """
            SELECT * FROM messages
            WHERE session_id = %(id)s AND chat = %(chat)s AND NOT from_me AND ack < 3
              AND kind <> ALL (messages_about_messages())
              AND (%(since)s::timestamptz IS NULL OR sent_at >= %(since)s)
            ORDER BY sent_at DESC LIMIT %(limit)s
            """,
            {"id": session_id, "chat": chat, "limit": limit, "since": since},
        )
        return [message_of(row) for row in rows]

    async def mark_seen(self, session_id: int, chat: str, message_ids: Sequence[str]) -> None:
        """Received messages were read here or on another device."""
        await self._db.run(
            """
            WITH seen AS (
                UPDATE messages SET ack = 3
                WHERE session_id = %(id)s AND chat = %(chat)s AND message_id = ANY(%(ids)s)
                  AND NOT from_me AND ack < 3
                RETURNING message_id
            )
            UPDATE chats SET marked_unread = false,
                   unread = greatest(0, unread - (SELECT count(*) FROM seen))
            WHERE session_id = %(id)s AND chat = %(chat)s
            """,
            {"id": session_id, "chat": chat, "ids": list(message_ids)},
        )

    async def get(self, session_id: int, message_id: str) -> StoredMessage | None:
        """One message by its id, the newest when several chats share it."""
        row = await self._db.one(
            """
            SELECT * FROM messages WHERE session_id = %(id)s AND message_id = %(message)s
            ORDER BY sent_at DESC LIMIT 1
            """,
            {"id": session_id, "message": message_id},
        )
        return message_of(row) if row else None


_SELECT = """
    SELECT * FROM messages
    WHERE session_id = %(id)s
      AND (%(chat)s::text IS NULL OR chat = %(chat)s)
      AND (%(from_me)s::boolean IS NULL OR from_me = %(from_me)s)
      AND (%(since)s::timestamptz IS NULL OR sent_at >= %(since)s)
      AND (%(until)s::timestamptz IS NULL OR sent_at <= %(until)s)
      AND (%(ack)s::smallint IS NULL OR ack = %(ack)s)
      AND kind <> ALL (messages_about_messages())
"""
_DESCENDING = _SELECT + " ORDER BY sent_at DESC, stored_at DESC LIMIT %(limit)s OFFSET %(offset)s"
_ASCENDING = _SELECT + " ORDER BY sent_at, stored_at LIMIT %(limit)s OFFSET %(offset)s"


def message_of(row: Row) -> StoredMessage:
    return StoredMessage(
        message_id=row["message_id"],
        chat=row["chat"],
        sender=row["sender"],
        from_me=row["from_me"],
        timestamp=row["sent_at"],
        kind=row["kind"],
        body=row["body"],
        ack=Ack(row["ack"]),
        via_api=row["via_api"],
        has_media=row["has_media"],
        reply_to=row["reply_to"],
        push_name=row["push_name"],
        payload=row["payload"],
        edited_at=row["edited_at"],
        revoked_at=row["revoked_at"],
    )
