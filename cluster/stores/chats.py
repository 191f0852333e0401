"""The list of chats. A trigger keeps it with every message (0002)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString

from cluster.domain.chat import Chat
from cluster.stores.database import Database, Row
from cluster.stores.messages import message_of

__all__ = ["ChatStore"]

_MAX = 1000


class ChatStore:
    """Table `chats`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def list(
        self,
        session_id: int,
        *,
        ids: Sequence[str] | None = None,
        limit: int = 100,
        offset: int = 0,
        by_name: bool = False,
        ascending: bool = False,
    ) -> list[Chat]:
        """Chats with their last messages, by the time of that or by chat id."""
        rows = await self._db.all(
            _LISTS[by_name, ascending],
            {
                "id": session_id,
                "ids": list(ids) if ids is not None else None,
                "limit": min(limit, _MAX),
                "offset": offset,
            },
        )
        return [_chat(row) for row in rows]

    async def set_archived(self, session_id: int, chat: str, archived: bool) -> None:
        await self._db.run(
            """
            UPDATE chats SET archived = %(archived)s
            WHERE session_id = %(id)s AND chat = kept_as(%(id)s, %(chat)s)
            """,
            {"id": session_id, "chat": chat, "archived": archived},
        )

    async def set_unread(self, session_id: int, chat: str, *, marked: bool) -> None:
        """Marked by hand as unread, or as read: then nothing in it is unread."""
        await self._db.run(
            """
            UPDATE chats SET marked_unread = %(marked)s,
                   unread = CASE WHEN %(marked)s THEN unread ELSE 0 END
            WHERE session_id = %(id)s AND chat = kept_as(%(id)s, %(chat)s)
            """,
            {"id": session_id, "chat": chat, "marked": marked},
        )

    async def clear(self, session_id: int, chat: str) -> None:
        """Forget the messages of a chat."""
        await self._db.run(
            """
            WITH gone AS (
                DELETE FROM messages WHERE session_id = %(id)s AND chat = kept_as(%(id)s, %(chat)s)
            )
            UPDATE chats SET unread = 0, marked_unread = false, last_message = ''
            WHERE session_id = %(id)s AND chat = kept_as(%(id)s, %(chat)s)
            """,
            {"id": session_id, "chat": chat},
        )

    async def delete(self, session_id: int, chat: str) -> None:
        """Forget a chat with its messages."""
        await self._db.run(
            """
            WITH gone AS (
                DELETE FROM messages WHERE session_id = %(id)s AND chat = kept_as(%(id)s, %(chat)s)
            )
            DELETE FROM chats WHERE session_id = %(id)s AND chat = kept_as(%(id)s, %(chat)s)
            """,
            {"id": session_id, "chat": chat},
        )


_SELECT: LiteralString = """
    SELECT c.chat AS c_chat, c.name AS c_name, c.last_at AS c_last_at, c.unread AS c_unread,
           c.archived AS c_archived, c.marked_unread AS c_marked,
           m.message_id, m.chat, m.sender, m.from_me, m.sent_at, m.kind, m.body, m.ack, m.via_api,
           m.has_media, m.reply_to, m.push_name, m.payload, m.edited_at, m.revoked_at
    FROM (
        SELECT chat, name, last_at, last_message, unread, archived, marked_unread FROM chats
        WHERE session_id = %(id)s AND (%(ids)s::text[] IS NULL OR chat = ANY(
            SELECT kept_as(%(id)s, one) FROM unnest(%(ids)s::text[]) AS one))
        ORDER BY {order} LIMIT %(limit)s OFFSET %(offset)s
    ) AS c
    LEFT JOIN LATERAL (
        SELECT message_id, chat, sender, from_me, sent_at, kind, body, ack, via_api, has_media,
               reply_to, push_name, payload, edited_at, revoked_at
        FROM messages
        WHERE session_id = %(id)s AND message_id = c.last_message AND chat = c.chat LIMIT 1
    ) AS m ON true
    ORDER BY {outer}
"""
_LISTS: dict[tuple[bool, bool], LiteralString] = {
    (False, False): _SELECT.replace("{order}", "last_at DESC, chat").replace(
        "{outer}", "c.last_at DESC, c.chat"
    ),
    (False, True): _SELECT.replace("{order}", "last_at, chat").replace(
        "{outer}", "c.last_at, c.chat"
    ),
    (True, False): _SELECT.replace("{order}", "chat DESC").replace("{outer}", "c.chat DESC"),
    (True, True): _SELECT.replace("{order}", "chat").replace("{outer}", "c.chat"),
}


def _chat(row: Row) -> Chat:
    return Chat(
        jid=row["c_chat"],
        name=row["c_name"],
        last_at=row["c_last_at"],
        last_message=message_of(row) if row["message_id"] else None,
        unread=row["c_unread"],
        archived=row["c_archived"],
        marked_unread=row["c_marked"],
    )
