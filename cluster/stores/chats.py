"""The list of chats. A trigger keeps it with every message (0002)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString

from cluster.domain.chat import Chat, ChatOrder
from cluster.domain.chat_timer import ChatTimer
from cluster.stores.database import Connection, Database, Row, hold_fence
from cluster.stores.messages import message_of

__all__ = ["ChatStore", "write_timers"]

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
        order: ChatOrder = "time",
        ascending: bool = False,
    ) -> list[Chat]:
        """Chats with their last messages. People are called as in the address book, else as they
        call themselves; chats without a name come last in either direction."""
        rows = await self._db.all(
            _LISTS[order, ascending],
            {
                "id": session_id,
                "ids": list(ids) if ids is not None else None,
                "limit": min(limit, _MAX),
                "offset": offset,
            },
        )
        return [_chat(row) for row in rows]

    async def set_timer(
        self, session_id: int, epoch: int, timer: ChatTimer, *, by: str = ""
    ) -> None:
        """What was set later counts. `by`: the member of a group whose word it is; it counts when
        that is an admin, or nobody is known to be one. Raises `NotOwner`."""
        async with self._db.connection() as connection, connection.transaction():
            await hold_fence(connection, session_id, epoch)
            if by and await _is_overruled(connection, session_id, timer.chat, by):
                return
            await write_timers(connection, session_id, [timer])

    async def set_archived(self, session_id: int, chat: str, archived: bool) -> None:
        await self._db.run(
            """
            UPDATE chats SET archived = %(archived)s
            WHERE session_id = %(id)s AND chat = canonical_chat(%(id)s, %(chat)s)
            """,
            {"id": session_id, "chat": chat, "archived": archived},
        )

    async def set_unread(self, session_id: int, chat: str, *, marked: bool) -> None:
        """Marked by hand as unread, or as read: then nothing in it is unread."""
        await self._db.run(
            """
            UPDATE chats SET marked_unread = %(marked)s,
                   unread = CASE WHEN %(marked)s THEN unread ELSE 0 END
            WHERE session_id = %(id)s AND chat = canonical_chat(%(id)s, %(chat)s)
            """,
            {"id": session_id, "chat": chat, "marked": marked},
        )

    async def clear(self, session_id: int, chat: str) -> None:
        """Forget the messages of a chat."""
        await self._db.run(
            """
            WITH gone AS (
                DELETE FROM messages
                WHERE session_id = %(id)s AND chat = canonical_chat(%(id)s, %(chat)s)
            )
            UPDATE chats SET unread = 0, marked_unread = false, last_message = ''
            WHERE session_id = %(id)s AND chat = canonical_chat(%(id)s, %(chat)s)
            """,
            {"id": session_id, "chat": chat},
        )

    async def delete(self, session_id: int, chat: str) -> None:
        """Forget a chat with its messages."""
        await self._db.run(
            """
            WITH gone AS (
                DELETE FROM messages
                WHERE session_id = %(id)s AND chat = canonical_chat(%(id)s, %(chat)s)
            )
            DELETE FROM chats WHERE session_id = %(id)s AND chat = canonical_chat(%(id)s, %(chat)s)
            """,
            {"id": session_id, "chat": chat},
        )


async def _is_overruled(connection: Connection, session_id: int, group: str, by: str) -> bool:
    cursor = await connection.execute(
        """
        SELECT 1 FROM groups g WHERE session_id = %(id)s AND jid = %(group)s
          AND EXISTS (SELECT 1 FROM jsonb_each_text(g.members) AS member(jid, role)
                      WHERE role IN ('admin', 'superadmin'))
          AND NOT is_group_admin(%(id)s, %(group)s, canonical_chat(%(id)s, %(by)s))
        """,
        {"id": session_id, "group": group, "by": by},
    )
    return await cursor.fetchone() is not None


async def write_timers(
    connection: Connection, session_id: int, timers: Sequence[ChatTimer]
) -> None:
    """In a transaction that holds the fence."""
    if not timers:
        return
    await connection.execute(
        """
        INSERT INTO chat_timers AS t (session_id, chat, seconds, set_at)
        SELECT DISTINCT ON (canonical_chat(%(id)s, chat))
               %(id)s, canonical_chat(%(id)s, chat), seconds, set_at
        FROM unnest(%(chats)s::text[], %(seconds)s::integer[], %(set_at)s::timestamptz[])
             AS timers(chat, seconds, set_at)
        ORDER BY canonical_chat(%(id)s, chat), set_at DESC
        ON CONFLICT (session_id, chat) DO UPDATE
            SET seconds = excluded.seconds, set_at = excluded.set_at
            WHERE t.set_at <= excluded.set_at
        """,
        {
            "id": session_id,
            "chats": [timer.chat for timer in timers],
            "seconds": [timer.seconds for timer in timers],
            "set_at": [timer.set_at for timer in timers],
        },
    )


_SELECT: LiteralString = """
    SELECT c.chat AS c_chat, c.called AS c_name,
           c.last_at AS c_last_at, c.unread AS c_unread, c.archived AS c_archived,
           c.marked_unread AS c_marked,
           m.message_id, m.chat, m.sender, m.from_me, m.sent_at, m.kind, m.body, m.ack, m.via_api,
           m.has_media, m.reply_to, m.push_name, m.payload, m.edited_at, m.revoked_at
    FROM (
        SELECT chat, called, last_at, last_message, unread, archived, marked_unread FROM (
            SELECT chat, last_at, last_message, unread, archived, marked_unread,
                   coalesce(nullif(k.name, ''), nullif(chats.name, ''), k.push_name, '') AS called
            FROM chats LEFT JOIN contacts k ON k.session_id = %(id)s AND k.jid = chat
            WHERE chats.session_id = %(id)s AND (%(ids)s::text[] IS NULL OR chat = ANY(
                SELECT canonical_chat(%(id)s, one) FROM unnest(%(ids)s::text[]) AS one))
        ) AS c
        ORDER BY {order} LIMIT %(limit)s OFFSET %(offset)s
    ) AS c
    LEFT JOIN LATERAL (
        SELECT message_id, chat, sender, from_me, sent_at, kind, body, ack, via_api, has_media,
               reply_to, push_name, payload, edited_at, revoked_at
        FROM messages
        WHERE session_id = %(id)s AND message_id = c.last_message AND chat = c.chat LIMIT 1
    ) AS m ON true
    ORDER BY {order}
"""
_LISTS: dict[tuple[ChatOrder, bool], LiteralString] = {
    ("time", False): _SELECT.replace("{order}", "c.last_at DESC, c.chat"),
    ("time", True): _SELECT.replace("{order}", "c.last_at, c.chat"),
    ("id", False): _SELECT.replace("{order}", "c.chat DESC"),
    ("id", True): _SELECT.replace("{order}", "c.chat"),
    ("name", False): _SELECT.replace("{order}", "c.called = '', lower(c.called) DESC, c.chat DESC"),
    ("name", True): _SELECT.replace("{order}", "c.called = '', lower(c.called), c.chat"),
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
