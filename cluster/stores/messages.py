"""Message history, for reading. Writing it belongs to the outbox and the inbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, LiteralString

from cluster.domain.cursor import MessageCursor
from cluster.domain.message import Ack, MessageFilter, MessagePage, StoredMessage
from cluster.domain.printable import printable
from cluster.stores.database import Database, Row

__all__ = ["MessageStore", "message_of"]

_MAX = 1000
#: Of the payload of a deleted message: where it was, and whose.
_OF_A_DELETED = ("chat_address", "sender_address")


class MessageStore:
    """Table `messages`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def list(self, session_id: int, wanted: MessageFilter) -> Sequence[StoredMessage]:
        """Messages of one chat or all, by time."""
        return list((await self.page(session_id, wanted)).messages)

    async def page(self, session_id: int, wanted: MessageFilter) -> MessagePage:
        """The same, with where the next page begins. Pages that follow one another by `after`
        neither repeat nor leave out what was there at the first, whatever arrives meanwhile."""
        words = ""
        if wanted.words:
            words = await self._query_of(wanted.words)
            if not words:
                return MessagePage(messages=(), following=None)
        limit = min(wanted.limit, _MAX)
        rows = await self._db.all(_listing(wanted), _values(session_id, wanted, words))
        page = rows[:limit]
        return MessagePage(
            messages=tuple(message_of(row) for row in page),
            following=_cursor(page[-1]) if len(rows) > limit else None,
        )

    async def explain(self, session_id: int, wanted: MessageFilter) -> Sequence[str]:
        """How PostgreSQL finds a page, as it explains it; the page is looked up for that."""
        words = await self._query_of(wanted.words) if wanted.words else ""
        rows = await self._db.all(
            _EXPLAIN.replace("{statement}", _listing(wanted)), _values(session_id, wanted, words)
        )
        return [str(row["QUERY PLAN"]) for row in rows]

    async def _query_of(self, words: str) -> str:
        """A `tsquery` of all words, each as the beginning of one; empty when there is no word."""
        row = await self._db.one(
            r"""
            SELECT coalesce(string_agg(
                $$'$$ || replace(replace(lexeme, $$\$$, $$\\$$), $$'$$, $$''$$) || $$':*$$, ' & '
            ), '') AS query
            FROM unnest(words_of(%(words)s))
            """,
            {"words": printable(words)},
        )
        return str(row["query"]) if row else ""

    async def find(
        self, session_id: int, message_id: str, *, chat: str = ""
    ) -> Sequence[StoredMessage]:
        """All messages with an id, of one chat or of any, in the order in which they came: ids are
        their senders' choice, and one that somebody uses again still names the first."""
        rows = await self._db.all(
            """
            SELECT message_id, chat, sender, from_me, sent_at, kind, body, ack, via_api, has_media,
                   reply_to, push_name, payload, edited_at, revoked_at
            FROM messages WHERE session_id = %(id)s AND message_id = %(message)s
              AND (%(chat)s = '' OR chat = canonical_chat(%(id)s, %(chat)s))
            ORDER BY stored_at LIMIT 10
            """,
            {"id": session_id, "message": message_id, "chat": chat},
        )
        return [message_of(row) for row in rows]

    async def unread(
        self, session_id: int, chat: str, limit: int, since: datetime | None = None
    ) -> Sequence[StoredMessage]:
        """Received messages of a chat that were not read yet, newest first."""
        rows = await self._db.all(
            """
            SELECT message_id, chat, sender, from_me, sent_at, kind, body, ack, via_api, has_media,
                   reply_to, push_name, payload, edited_at, revoked_at
            FROM messages
            WHERE session_id = %(id)s AND chat = canonical_chat(%(id)s, %(chat)s)
              AND NOT from_me AND ack < 3
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
                WHERE session_id = %(id)s AND chat = canonical_chat(%(id)s, %(chat)s)
                  AND message_id = ANY(%(ids)s) AND NOT from_me AND ack < 3
                RETURNING message_id
            )
            UPDATE chats SET marked_unread = false,
                   unread = greatest(0, unread - (SELECT count(*) FROM seen))
            WHERE session_id = %(id)s AND chat = canonical_chat(%(id)s, %(chat)s)
            """,
            {"id": session_id, "chat": chat, "ids": list(message_ids)},
        )

    async def get(self, session_id: int, message_id: str) -> StoredMessage | None:
        """One message by its id, the first when several chats share it."""
        return next(iter(await self.find(session_id, message_id)), None)


def _values(session_id: int, wanted: MessageFilter, words: str) -> dict[str, Any]:
    after = wanted.after
    return {
        "id": session_id,
        "chat": wanted.chat,
        "from_me": wanted.from_me,
        "since": wanted.timestamp_gte,
        "until": wanted.timestamp_lte,
        "ack": int(wanted.ack) if wanted.ack is not None else None,
        "words": words,
        "after_sent": after.sent_at if after else None,
        "after_stored": after.stored_at if after else None,
        "after_id": after.message_id if after else None,
        "after_chat": after.chat if after else None,
        "after_from_me": after.from_me if after else None,
        # One more than asked for: is there a next page?
        "limit": min(wanted.limit, _MAX) + 1,
        "offset": wanted.offset,
    }


_EXPLAIN: LiteralString = "EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF) {statement}"


def _listing(wanted: MessageFilter) -> LiteralString:
    """The statement with the conditions that are asked for, and no others: PostgreSQL plans for
    what is there."""
    conditions: list[LiteralString] = [
        "session_id = %(id)s",
        "kind <> ALL (messages_about_messages())",
    ]
    if wanted.chat is not None:
        conditions.append("chat = canonical_chat(%(id)s, %(chat)s)")
    if wanted.from_me is not None:
        conditions.append("from_me = %(from_me)s")
    if wanted.timestamp_gte is not None:
        conditions.append("sent_at >= %(since)s")
    if wanted.timestamp_lte is not None:
        conditions.append("sent_at <= %(until)s")
    if wanted.ack is not None:
        conditions.append("ack = %(ack)s")
    if wanted.words:
        conditions.append("body <> '' AND revoked_at IS NULL")
        conditions.append(
            "message_words(session_id, body) @@ "
            "(%(words)s::tsquery && (''' ' || %(id)s::bigint || '''')::tsquery)"
        )
    if wanted.after is not None:
        # The first condition is what the index by time can begin at.
        conditions.append(_AFTER_ASCENDING if wanted.ascending else _AFTER_DESCENDING)
    where: LiteralString = " AND ".join(conditions)
    order = _ASCENDING if wanted.ascending else _DESCENDING
    return _LIST.replace("{where}", where).replace("{order}", order)


_LIST: LiteralString = """
    SELECT message_id, chat, sender, from_me, sent_at, stored_at, kind, body, ack, via_api,
           has_media, reply_to, push_name, payload, edited_at, revoked_at
    FROM messages WHERE {where} ORDER BY {order} LIMIT %(limit)s OFFSET %(offset)s
"""


_AFTER_DESCENDING: LiteralString = """sent_at <= %(after_sent)s
    AND (sent_at, stored_at, message_id, chat, from_me)
      < (%(after_sent)s, %(after_stored)s, %(after_id)s, %(after_chat)s, %(after_from_me)s)"""
_AFTER_ASCENDING: LiteralString = """sent_at >= %(after_sent)s
    AND (sent_at, stored_at, message_id, chat, from_me)
      > (%(after_sent)s, %(after_stored)s, %(after_id)s, %(after_chat)s, %(after_from_me)s)"""
_DESCENDING: LiteralString = (
    "sent_at DESC, stored_at DESC, message_id DESC, chat DESC, from_me DESC"
)
_ASCENDING: LiteralString = "sent_at, stored_at, message_id, chat, from_me"


def _cursor(row: Row) -> MessageCursor:
    return MessageCursor(
        sent_at=row["sent_at"],
        stored_at=row["stored_at"],
        message_id=row["message_id"],
        chat=row["chat"],
        from_me=row["from_me"],
    )


def message_of(row: Row) -> StoredMessage:
    """What was deleted for everyone is shown as deleted, without what it said: the row may still
    have it (0070)."""
    message = StoredMessage(
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
    if message.revoked_at is None:
        return message
    left = {name: message.payload[name] for name in _OF_A_DELETED if name in message.payload}
    return replace(message, body="", has_media=False, reply_to="", payload=left)
