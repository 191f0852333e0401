"""What a phone sends of the past, written beside what was seen live; and forgetting what is old."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from cluster.domain.history import HistoryChat, HistoryChunk
from cluster.domain.message import StoredMessage
from cluster.domain.printable import printable
from cluster.stores.chats import write_timers
from cluster.stores.database import Connection, Database, hold_fence, jsonb
from cluster.stores.groups import write_group
from cluster.stores.people import finish_moves, insert_pairs

__all__ = ["HistoryStore"]


class HistoryStore:
    """Writes `messages`, `chats`, `contacts`, `groups` and `lid_pairs`; never events."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def record(self, session_id: int, epoch: int, chunk: HistoryChunk) -> int:
        """Write a chunk, in one transaction, of a part of a second at most; returns how many
        messages were new.

        The same again changes nothing; what is known already is newer and stays, but an own
        message may turn out to have got further. No event is published. Raises `NotOwner`.
        """
        async with self._db.connection() as connection, connection.transaction():
            await hold_fence(connection, session_id, epoch)
            # First of all: who is who decides under which address everything else is kept.
            if chunk.pairs:
                await insert_pairs(connection, session_id, chunk.pairs)
            for event in chunk.groups:
                await write_group(connection, session_id, event)
            await _write_names(connection, session_id, chunk)
            await write_timers(connection, session_id, chunk.timers)
            cursor = await connection.execute(
                "SELECT chat FROM chats WHERE session_id = %(id)s AND chat = ANY("
                "SELECT canonical_chat(%(id)s, one) FROM unnest(%(chats)s::text[]) AS one)",
                {"id": session_id, "chats": [chat.jid for chat in chunk.chats]},
            )
            known = [row["chat"] for row in await cursor.fetchall()]
            fresh = await _write_messages(connection, session_id, chunk.messages)
            await _write_chats(connection, session_id, chunk.chats, known)
        if chunk.pairs:
            await finish_moves(self._db, session_id, epoch)
        return fresh

    async def forget_messages(self, age: timedelta, *, batch: int) -> int:
        """Delete messages older than `age`, `batch` at a time so that nobody waits for it; returns
        how many. Chats and contacts stay."""
        sessions = await self._db.all("SELECT id FROM sessions ORDER BY id", {})
        gone = 0
        for session in sessions:
            while True:
                deleted = await self._db.run(
                    """
                    DELETE FROM messages WHERE session_id = %(id)s
                      AND (message_id, chat, from_me) IN (
                          SELECT message_id, chat, from_me FROM messages
                          WHERE session_id = %(id)s
                            AND sent_at < clock_timestamp() - %(age)s::interval
                          ORDER BY sent_at LIMIT %(batch)s)
                    """,
                    {"id": session["id"], "age": age, "batch": batch},
                )
                gone += deleted
                if deleted < batch:
                    break
        return gone


async def _write_names(connection: Connection, session_id: int, chunk: HistoryChunk) -> None:
    for column, names in (("name", chunk.names), ("push_name", chunk.push_names)):
        if not names:
            continue
        # A phone does not say since when somebody is called so: any other source is newer.
        people = dict(names)
        await connection.execute(
            """
            INSERT INTO contacts AS c (session_id, jid, name, push_name)
            SELECT DISTINCT ON (canonical_chat(%(id)s, jid)) %(id)s, canonical_chat(%(id)s, jid),
                   CASE %(column)s WHEN 'name' THEN known ELSE '' END,
                   CASE %(column)s WHEN 'name' THEN '' ELSE known END
            FROM unnest(%(jids)s::text[], %(names)s::text[]) AS people(jid, known)
            ORDER BY canonical_chat(%(id)s, jid)
            ON CONFLICT (session_id, jid) DO UPDATE SET
                name = CASE WHEN excluded.name <> '' THEN excluded.name ELSE c.name END,
                push_name = CASE WHEN c.push_name = '' THEN excluded.push_name
                                 ELSE c.push_name END
            """,
            {
                "id": session_id,
                "column": column,
                "jids": list(people),
                "names": [printable(name) for name in people.values()],
            },
        )


async def _write_messages(
    connection: Connection, session_id: int, messages: Sequence[StoredMessage]
) -> int:
    if not messages:
        return 0
    cursor = await connection.execute(
        """
        WITH sent AS (
            SELECT chat, message_id, from_me, sender, sent_at, kind, body, ack, has_media,
                   reply_to, push_name, payload, revoked_at
            FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (
                chat text, message_id text, from_me boolean, sender text, sent_at timestamptz,
                kind text, body text, ack smallint, has_media boolean, reply_to text,
                push_name text, payload jsonb, revoked_at timestamptz)
        ), further AS (
            UPDATE messages m SET ack = sent.ack FROM sent
            WHERE m.session_id = %(id)s AND m.message_id = sent.message_id
              AND m.chat = canonical_chat(%(id)s, sent.chat) AND m.from_me AND sent.from_me
              AND m.ack BETWEEN 0 AND sent.ack - 1
        ), fresh AS (
            INSERT INTO messages (session_id, chat, message_id, from_me, sender, sent_at, kind,
                                  body, ack, via_api, has_media, reply_to, push_name, payload,
                                  revoked_at)
            SELECT %(id)s, chat, message_id, from_me, sender, sent_at, kind, body, ack, false,
                   has_media, reply_to, push_name, payload, revoked_at
            FROM sent ORDER BY sent_at
            ON CONFLICT DO NOTHING
            RETURNING 1
        )
        SELECT count(*) AS fresh FROM fresh
        """,
        {"id": session_id, "rows": jsonb([_values(message) for message in messages])},
    )
    row = await cursor.fetchone()
    return int(row["fresh"]) if row else 0


async def _write_chats(
    connection: Connection, session_id: int, chats: Sequence[HistoryChat], known: list[str]
) -> None:
    """The phone's word on chats that were not there before; on others only a missing name."""
    if not chats:
        return
    await connection.execute(
        """
        INSERT INTO chats AS c (session_id, chat, name, last_at, archived, marked_unread)
        SELECT DISTINCT ON (canonical_chat(%(id)s, sent.jid))
               %(id)s, canonical_chat(%(id)s, sent.jid), sent.name, sent.last_at,
               sent.archived, sent.marked_unread
        FROM jsonb_to_recordset(%(rows)s::jsonb) AS sent (
            jid text, name text, last_at timestamptz, archived boolean, marked_unread boolean)
        ORDER BY canonical_chat(%(id)s, sent.jid), sent.last_at DESC
        ON CONFLICT (session_id, chat) DO UPDATE SET
            name = CASE WHEN c.name = '' OR (excluded.name <> '' AND c.chat <> ALL (%(known)s))
                        THEN excluded.name ELSE c.name END,
            last_at = CASE WHEN c.chat = ANY (%(known)s) THEN c.last_at
                           ELSE greatest(c.last_at, excluded.last_at) END,
            archived = CASE WHEN c.chat = ANY (%(known)s) THEN c.archived
                            ELSE excluded.archived END,
            marked_unread = CASE WHEN c.chat = ANY (%(known)s) THEN c.marked_unread
                                 ELSE excluded.marked_unread END
        """,
        {
            "id": session_id,
            "known": known,
            "rows": jsonb(
                [
                    {
                        "jid": chat.jid,
                        "name": chat.name,
                        "last_at": chat.last_at.isoformat(),
                        "archived": chat.archived,
                        "marked_unread": chat.marked_unread,
                    }
                    for chat in chats
                ]
            ),
        },
    )


def _values(message: StoredMessage) -> dict[str, Any]:
    return {
        "chat": message.chat,
        "message_id": message.message_id,
        "from_me": message.from_me,
        "sender": message.sender,
        "sent_at": message.timestamp.isoformat(),
        "kind": message.kind,
        "body": message.body,
        "ack": int(message.ack),
        "has_media": message.has_media,
        "reply_to": message.reply_to,
        "push_name": message.push_name,
        "payload": message.payload,
        "revoked_at": message.revoked_at.isoformat() if message.revoked_at else None,
    }
