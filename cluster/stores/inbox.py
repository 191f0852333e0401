"""What WhatsApp sends the owner: history and event in one transaction, fenced by the epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from cluster.domain.message import Ack, OutboxState, StoredMessage
from cluster.domain.printable import printable
from cluster.domain.waha_id import is_shared
from cluster.events.event_id import new_event_id
from cluster.events.stored_message import to_event
from cluster.stores.database import Database, fenced, jsonb
from cluster.stores.notifier import EventNotifier

__all__ = ["InboxStore"]


class InboxStore:
    """Writes `messages`, `outbox` states and `events` for the owner."""

    def __init__(self, database: Database, notifier: EventNotifier) -> None:
        self._db = database
        self._notifier = notifier

    async def record_incoming(
        self, session_id: int, epoch: int, message: StoredMessage, *events: str
    ) -> bool:
        """Record a message and its events (by name, in order); False when it was recorded before
        (then there is no event). A change of a message that its sender has no right to changes
        nothing and is published as `message.change.refused`.

        Raises `NotOwner`.
        """
        row = await self._db.grouped(
            session_id,
            """
            WITH fence AS (
                SELECT session_id FROM session_streams
                WHERE session_id = %(id)s AND epoch = %(epoch)s FOR UPDATE
            ), history AS (
                INSERT INTO messages (session_id, chat, message_id, from_me, sender, sent_at, kind,
                                      body, ack, via_api, has_media, reply_to, push_name, payload)
                SELECT session_id, %(chat)s, %(message)s, %(from_me)s, %(sender)s, %(sent_at)s,
                       %(kind)s, %(body)s, %(ack)s, false, %(has_media)s, %(reply_to)s,
                       %(push_name)s, %(payload)s
                FROM fence
                ON CONFLICT DO NOTHING
                RETURNING session_id
            ), stream AS (
                UPDATE session_streams SET event_seq = event_seq + cardinality(%(types)s::text[])
                WHERE session_id IN (SELECT session_id FROM history)
                RETURNING event_seq - cardinality(%(types)s::text[]) AS before
            ), event AS (
                INSERT INTO events (session_id, seq, id, type, payload)
                SELECT %(id)s, before + made.n, made.id,
                       CASE why WHEN '' THEN made.type ELSE 'message.change.refused' END,
                       %(event_payload)s || CASE why WHEN '' THEN '{}'
                                   ELSE jsonb_build_object('refused', why) END
                FROM stream, unnest(%(ids)s::text[], %(types)s::text[])
                             WITH ORDINALITY AS made(id, type, n),
                     change_refused(%(id)s, %(chat)s, %(kind)s, %(sender)s, %(from_me)s,
                                    %(reply_to)s) AS why
            )
            SELECT EXISTS (SELECT 1 FROM fence) AS owner,
                   EXISTS (SELECT 1 FROM history) AS fresh
            """,
            {
                "id": session_id,
                "epoch": epoch,
                "chat": message.chat,
                "message": printable(message.message_id),
                "from_me": message.from_me,
                "sender": message.sender,
                "sent_at": message.timestamp,
                "kind": message.kind,
                "body": printable(message.body),
                "ack": int(message.ack),
                "has_media": message.has_media,
                "reply_to": printable(message.reply_to),
                "push_name": printable(message.push_name),
                "payload": jsonb(message.payload),
                "ids": [new_event_id() for _ in events],
                "types": list(events),
                "event_payload": jsonb(to_event(message)),
            },
        )
        fresh = bool(fenced(row, session_id, epoch)["fresh"])
        if fresh and events:
            self._notifier.notify(session_id, *events, "message.change.refused")
        return fresh

    async def record_receipt(
        self,
        session_id: int,
        epoch: int,
        *,
        chat: str,
        message_ids: Sequence[str],
        sender: str,
        ack: Ack,
        state: OutboxState | None,
        timestamp: datetime,
        emit: bool = True,
        event_of: Callable[[str], tuple[str, bool]] | None = None,
    ) -> int:
        """Raise the acks of own messages of a chat; returns how many were raised.

        The ids are the sender's word, the chat is WhatsApp's: it says where a receipt comes from,
        so what somebody claims of messages to others counts for nothing. An ack never goes down.
        With `emit` each raised one is published; in groups, what each member did. Raises
        `NotOwner`.
        `event_of` gives the id of a message's event, and whether it may be there (`EventIds`).
        """
        events = [event_of(one) if event_of else (new_event_id(), False) for one in message_ids]
        row = await self._db.grouped(
            session_id,
            """
            WITH fence AS (
                SELECT session_id FROM session_streams
                WHERE session_id = %(id)s AND epoch = %(epoch)s FOR UPDATE
            ), named AS (
                SELECT message_id, chat FROM messages
                WHERE session_id = %(id)s AND EXISTS (SELECT 1 FROM fence)
                  AND message_id = ANY(%(messages)s) AND from_me
                  AND chat = (SELECT canonical_chat(%(id)s, %(chat)s))
            ), raised AS (
                UPDATE messages SET ack = %(ack)s
                WHERE session_id = %(id)s AND EXISTS (SELECT 1 FROM fence)
                  AND message_id = ANY(%(messages)s) AND from_me
                  AND chat = (SELECT canonical_chat(%(id)s, %(chat)s)) AND ack < %(ack)s
                RETURNING message_id, chat
            ), sent AS (
                UPDATE outbox SET state = %(state)s
                WHERE %(state)s::text IS NOT NULL AND session_id = %(id)s
                  AND message_id IN (SELECT message_id FROM raised)
                  AND state NOT IN ('failed', 'read')
            ), emitted AS (
                SELECT message_id, chat, 'message.ack' AS type FROM raised
                WHERE %(emit)s AND NOT %(shared)s
                UNION ALL
                SELECT message_id, chat, 'message.ack.group' FROM named
                WHERE %(emit)s AND %(shared)s AND NOT (%(again)s AND EXISTS (
                    SELECT 1 FROM unnest(%(messages)s::text[], %(ids)s::text[]) AS one(message, id)
                    WHERE one.message = named.message_id
                      AND recorded_lately(%(id)s, one.id)))
            ), numbered AS (
                SELECT message_id, chat, type, row_number() OVER () AS n,
                       (%(ids)s::text[])[array_position(%(messages)s::text[], message_id)] AS event
                FROM emitted
            ), stream AS (
                UPDATE session_streams
                SET event_seq = event_seq + (SELECT count(*) FROM emitted)
                WHERE session_id = %(id)s AND EXISTS (SELECT 1 FROM fence)
                  AND EXISTS (SELECT 1 FROM emitted)
                RETURNING event_seq - (SELECT count(*) FROM emitted) AS before
            ), event AS (
                INSERT INTO events (session_id, seq, id, type, payload, trace)
                SELECT %(id)s, stream.before + n, event, type,
                       jsonb_build_object('id', message_id, 'chat', chat, 'ack', %(ack)s::int,
                                          'by', %(sender)s::text,
                                          'timestamp', %(timestamp)s::timestamptz),
                       (SELECT trace FROM outbox o
                        WHERE o.session_id = %(id)s AND o.message_id = numbered.message_id)
                FROM numbered, stream
            )
            SELECT EXISTS (SELECT 1 FROM fence) AS owner,
                   (SELECT count(*) FROM raised) AS raised,
                   EXISTS (SELECT 1 FROM emitted) AS emitted
            """,
            {
                "id": session_id,
                "epoch": epoch,
                "messages": [printable(m) for m in message_ids],
                "chat": chat,
                "shared": is_shared(chat),
                "emit": emit,
                "ack": int(ack),
                "state": state.value if state else None,
                "sender": sender,
                "timestamp": timestamp,
                "ids": [id for id, _ in events],
                "again": any(again for _, again in events),
            },
        )
        done = fenced(row, session_id, epoch)
        if done["emitted"]:
            self._notifier.notify(
                session_id, "message.ack.group" if is_shared(chat) else "message.ack"
            )
        return int(done["raised"])
