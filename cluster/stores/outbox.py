"""Accepted sends. What is in here will be sent, whoever owns the session by then."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Self

from cluster.domain.content import fingerprinted
from cluster.domain.errors import (
    Conflict,
    GatewayError,
    SessionNotFound,
    Unavailable,
    WhatsAppRefused,
    error_from_payload,
)
from cluster.domain.message import OutboxState
from cluster.domain.message_kind import OWN_EVENTS
from cluster.domain.printable import printable
from cluster.events.event_id import new_event_id
from cluster.stores.database import Database, Row, fenced, jsonb
from cluster.stores.notifier import EventNotifier

__all__ = ["OutboxRow", "OutboxStore"]


@dataclass(frozen=True, kw_only=True, slots=True)
class OutboxRow:
    """One accepted message."""

    #: Order within the session.
    seq: int
    message_id: str
    chat: str
    content: dict[str, Any]
    state: OutboxState
    attempts: int
    error: str
    accepted_at: datetime
    #: W3C `traceparent` of the request; empty without tracing.
    trace: str = ""
    #: JID of the account it was accepted for; empty: kept by a version that did not say.
    account: str = ""
    #: What a failed one was answered, and is answered when it is sent again.
    failure: GatewayError | None = None
    #: Where the history keeps it: of a person whose number is known not the LID. Set by `accept`.
    kept_in: str = ""

    def to_json(self) -> dict[str, Any]:
        """JSON-able; `failure` is left out, which who sends it has seen."""
        return {
            "seq": self.seq,
            "message_id": self.message_id,
            "chat": self.chat,
            "content": self.content,
            "state": self.state.value,
            "attempts": self.attempts,
            "error": self.error,
            "accepted_at": self.accepted_at.isoformat(),
            "trace": self.trace,
            "account": self.account,
        }

    @classmethod
    def of_json(cls, row: dict[str, Any]) -> Self:
        """What `to_json` made, by this version or another one."""
        known = {name: row[name] for name in _FIELDS if name in row}
        return cls(
            **known
            | {
                "state": OutboxState(row["state"]),
                "accepted_at": datetime.fromisoformat(row["accepted_at"]),
            }
        )

    def raise_failure(self) -> None:
        """Of a failed one, what it was answered the first time: its key or id has no other
        outcome."""
        if self.state is not OutboxState.FAILED:
            return
        if self.failure is None or isinstance(self.failure, Unavailable):
            # Of former versions; or it was given up, and is not tried again.
            raise WhatsAppRefused(self.error or "WhatsApp refused the message")
        raise self.failure


_FIELDS = tuple(
    field.name for field in fields(OutboxRow) if field.name not in {"failure", "kept_in"}
)


class OutboxStore:
    """Table `outbox`, and the history row of each of its messages."""

    def __init__(self, database: Database, notifier: EventNotifier) -> None:
        self._db = database
        self._notifier = notifier

    async def accept(
        self,
        session_id: int,
        *,
        message_id: str,
        chat: str,
        sender: str,
        kind: str,
        content: Mapping[str, Any],
        body: str,
        idempotency_key: str | None = None,
        trace: str = "",
        version: str = "",
    ) -> tuple[OutboxRow, bool]:
        """Accept a message, in one transaction with its history row, whoever owns the session: the
        row of its stream, locked, gives the order. `sender`: JID of the account that is linked; it
        is sent from no other. In a chat with a timer the content gets it, as `_timer`: whoever
        sends it, and however late, it disappears.

        The same id or idempotency key again gives the first row and True. Raises `SessionNotFound`,
        also when the session is not as in its record of that `version` any more, and `Conflict`
        when the id or key was used for something else.
        """
        fingerprint = _fingerprint(chat, content)
        values = {
            "id": session_id,
            "message": message_id,
            "chat": chat,
            "sender": sender,
            "kind": kind,
            "content": jsonb(content),
            "body": printable(body),
            "key": idempotency_key,
            "fingerprint": fingerprint,
            "reply_to": str(content.get("reply_to") or ""),
            "trace": trace or None,
            "version": version,
        }
        row = await self._db.grouped(session_id, _ACCEPT, values)
        if row is None:
            raise SessionNotFound(str(session_id))
        if row["seq"] is not None:
            return _row(row), False
        first = await self._db.one(
            """
            SELECT seq, message_id, chat, content, state, attempts, error, failure, accepted_at,
                   trace, account, fingerprint, canonical_chat(%(id)s, chat) AS kept_in
            FROM outbox WHERE session_id = %(id)s
               AND (message_id = %(message)s OR idempotency_key = %(key)s)
            ORDER BY (idempotency_key IS NOT DISTINCT FROM %(key)s) DESC LIMIT 1
            """,
            values,
        )
        if first is None or first["fingerprint"] != fingerprint:
            raise Conflict(
                "this Idempotency-Key or message id was used for another message",
                field="Idempotency-Key" if idempotency_key else "id",
            )
        return _row(first), True

    async def get(self, session_id: int, message_id: str) -> OutboxRow | None:
        """One message, whatever its state; None when it was not sent through the outbox."""
        row = await self._db.one(
            """
            SELECT seq, message_id, chat, content, state, attempts, error, accepted_at, trace,
                   account
            FROM outbox WHERE session_id = %(id)s AND message_id = %(message)s
            """,
            {"id": session_id, "message": printable(message_id)},
        )
        return _row(row) if row else None

    async def pending(self, session_id: int, *, after: int = 0) -> list[OutboxRow]:
        """What was accepted and not sent yet, in order; only with a seq above `after`."""
        rows = await self._db.all(
            """
            SELECT seq, message_id, chat, content, state, attempts, error, accepted_at, trace,
                   account
            FROM outbox
            WHERE session_id = %(id)s AND state = 'accepted' AND seq > %(after)s ORDER BY seq
            """,
            {"id": session_id, "after": after},
        )
        return [_row(row) for row in rows]

    async def disown(self, session_id: int, epoch: int, account: str) -> int:
        """`account` is linked now: what was accepted for another one fails, which is published as
        events. Returns how many. Raises `NotOwner`."""
        failure = Conflict("it was accepted for another account than the one that is linked now")
        total = 0
        while True:
            row = await self._db.one(
                _DISOWN,
                {
                    "id": session_id,
                    "epoch": epoch,
                    "account": account,
                    "error": failure.detail,
                    "failure": jsonb(failure.to_payload()),
                    "most": _AT_ONCE,
                    "event": new_event_id(),
                },
            )
            failed = int(fenced(row, session_id, epoch)["failed"])
            if failed:
                self._notifier.notify(session_id, "message.ack", "message.status")
            total += failed
            if failed < _AT_ONCE:
                return total

    async def forget(self, age: timedelta, *, batch: int) -> int:
        """Delete what was accepted longer than `age` ago and is dealt with, of all sessions,
        `batch` at a time so that nobody waits for it; returns how many. Their ids and idempotency
        keys are free again."""
        sessions = await self._db.all("SELECT id FROM sessions ORDER BY id", {})
        gone = 0
        for session in sessions:
            while True:
                deleted = await self._db.run(
                    """
                    DELETE FROM outbox WHERE session_id = %(id)s AND seq IN (
                        SELECT seq FROM (
                            SELECT seq, accepted_at FROM outbox
                            WHERE session_id = %(id)s AND state <> 'accepted'
                            ORDER BY seq LIMIT %(batch)s) AS oldest
                        WHERE accepted_at < clock_timestamp() - %(age)s::interval)
                    """,
                    {"id": session["id"], "age": age, "batch": batch},
                )
                gone += deleted
                if deleted < batch:
                    break
        return gone

    async def traces(self, session_id: int, message_ids: Sequence[str]) -> list[str]:
        """`traceparent` of the requests that sent these messages, where they were traced."""
        rows = await self._db.all(
            """
            SELECT DISTINCT trace FROM outbox
            WHERE session_id = %(id)s AND message_id = ANY(%(messages)s) AND trace IS NOT NULL
            """,
            {"id": session_id, "messages": [printable(one) for one in message_ids]},
        )
        return [row["trace"] for row in rows]

    async def mark_sent(
        self,
        session_id: int,
        epoch: int,
        message_id: str,
        sent_at: datetime,
        *,
        emit: bool = True,
    ) -> None:
        """WhatsApp took it: the first time this is published as an event, with `emit`. Raises
        `NotOwner`."""
        row = await self._db.grouped(
            session_id,
            _MARK_SENT,
            {
                "id": session_id,
                "epoch": epoch,
                "message": message_id,
                "at": sent_at,
                "emit": emit,
                "own_events": _OWN_EVENTS,
                "events": [new_event_id(), new_event_id()],
            },
        )
        if event_types := fenced(row, session_id, epoch)["emitted"]:
            self._notifier.notify(session_id, *event_types)

    async def mark_failed(
        self,
        session_id: int,
        epoch: int,
        message_id: str,
        failure: GatewayError,
        attempts: int,
        *,
        emit: bool = True,
    ) -> None:
        """It cannot be sent, for good: that is published as an event, with `emit`, and
        answered to who sends it again. Raises `NotOwner`."""
        row = await self._db.grouped(
            session_id,
            _MARK_FAILED,
            {
                "id": session_id,
                "epoch": epoch,
                "message": message_id,
                "error": printable(failure.detail),
                "failure": jsonb(failure.to_payload()),
                "attempts": attempts,
                "emit": emit,
                "events": [new_event_id(), new_event_id()],
            },
        )
        if event_types := fenced(row, session_id, epoch)["emitted"]:
            self._notifier.notify(session_id, *event_types)


_OWN_EVENTS = jsonb(OWN_EVENTS)
#: Messages that fail in one statement: the next accepted send waits for it.
_AT_ONCE = 200

_ACCEPT = """
    WITH stream AS (
        UPDATE session_streams SET outbox_seq = outbox_seq + 1
        WHERE session_id = %(id)s AND (%(version)s::text = '' OR EXISTS (
            SELECT 1 FROM sessions WHERE id = %(id)s AND xmin::text = %(version)s))
        RETURNING outbox_seq
    ), entry AS (
        INSERT INTO outbox (session_id, seq, message_id, chat, kind, content, fingerprint,
                            idempotency_key, trace, account)
        SELECT %(id)s, outbox_seq, %(message)s, %(chat)s, %(kind)s,
               %(content)s::jsonb || coalesce((
                   SELECT jsonb_build_object('_timer', jsonb_build_object(
                       'seconds', seconds, 'set_at', extract(epoch FROM set_at)::bigint))
                   FROM chat_timers
                   WHERE session_id = %(id)s AND seconds > 0
                     AND chat = canonical_chat(%(id)s, %(chat)s)
               ), '{}'),
               %(fingerprint)s, %(key)s, %(trace)s, %(sender)s
        FROM stream
        ON CONFLICT DO NOTHING
        RETURNING session_id, seq, message_id, chat, kind, content, state, attempts, error,
                  accepted_at, trace, account
    ), history AS (
        INSERT INTO messages (session_id, chat, message_id, from_me, sender, sent_at, kind, body,
                              ack, via_api, has_media, reply_to, payload)
        SELECT session_id, chat, message_id, true, %(sender)s, accepted_at, kind, %(body)s, 0,
               true, content ? 'file', %(reply_to)s, jsonb_build_object('content', content)
        FROM entry
        ON CONFLICT DO NOTHING
    )
    SELECT entry.seq, entry.message_id, entry.chat, entry.content, entry.state, entry.attempts,
           entry.error, entry.accepted_at, entry.trace, entry.account,
           canonical_chat(%(id)s, entry.chat) AS kept_in
    FROM stream LEFT JOIN entry ON true
"""

#: The end of a statement about one `entry`: the two events that are `emitted`, if any, by the owner
#: that `fence` found.
_TWO_EVENTS = """
    ), stream AS (
        UPDATE session_streams SET event_seq = event_seq + 2
        WHERE session_id = %(id)s AND EXISTS (SELECT 1 FROM fence)
          AND EXISTS (SELECT 1 FROM emitted)
        RETURNING event_seq - 2 AS before
    ), event AS (
        INSERT INTO events (session_id, seq, id, type, payload, trace)
        SELECT %(id)s, stream.before + n, (%(events)s::text[])[n], type, payload,
               (SELECT trace FROM entry)
        FROM emitted, stream
    )
    SELECT EXISTS (SELECT 1 FROM fence) AS owner,
           (SELECT array_agg(type) FROM emitted) AS emitted
"""

#: What `history` returns is the message as `cluster.events.stored_message` reads it.
_MARK_SENT = (
    """
    WITH fence AS (
        SELECT session_id FROM session_streams
        WHERE session_id = %(id)s AND epoch = %(epoch)s FOR UPDATE
    ), before AS (
        SELECT sent_at FROM outbox
        WHERE session_id = %(id)s AND message_id = %(message)s AND EXISTS (SELECT 1 FROM fence)
        FOR UPDATE
    ), entry AS (
        UPDATE outbox SET sent_at = %(at)s,
               state = CASE WHEN state = 'accepted' THEN 'sent' ELSE state END
        WHERE session_id = %(id)s AND message_id = %(message)s AND EXISTS (SELECT 1 FROM fence)
        RETURNING chat, state, trace
    ), history AS (
        UPDATE messages m SET ack = greatest(m.ack, 1), sent_at = %(at)s
        WHERE m.session_id = %(id)s AND m.message_id = %(message)s
          AND m.chat = (SELECT canonical_chat(%(id)s, chat) FROM entry) AND m.from_me
        RETURNING m.message_id, m.chat, m.sender, m.from_me,
                  extract(epoch FROM m.sent_at) AS timestamp, m.kind, m.body, m.ack,
                  true AS via_api, m.has_media, m.reply_to, m.push_name, m.payload
    ), emitted AS (
        SELECT 1 AS n, coalesce(%(own_events)s::jsonb ->> kind, 'message.any') AS type,
               to_jsonb(history) AS payload
        FROM history WHERE %(emit)s AND EXISTS (SELECT 1 FROM before WHERE sent_at IS NULL)
        UNION ALL
        SELECT 2, 'message.status', jsonb_build_object(
                   'id', message_id, 'chat', chat, 'status', (SELECT state FROM entry))
        FROM history WHERE %(emit)s AND EXISTS (SELECT 1 FROM before WHERE sent_at IS NULL)
"""  # noqa: S608 - of constants
    + _TWO_EVENTS
)

_MARK_FAILED = (
    """
    WITH fence AS (
        SELECT session_id FROM session_streams
        WHERE session_id = %(id)s AND epoch = %(epoch)s FOR UPDATE
    ), entry AS (
        UPDATE outbox SET state = 'failed', error = %(error)s, attempts = %(attempts)s,
               failure = %(failure)s
        WHERE session_id IN (SELECT session_id FROM fence) AND message_id = %(message)s
          AND state = 'accepted'
        RETURNING chat, trace
    ), history AS (
        UPDATE messages m SET ack = -1 FROM entry
        WHERE m.session_id = %(id)s AND m.message_id = %(message)s
          AND m.chat = canonical_chat(m.session_id, entry.chat) AND m.from_me
    ), unlisted AS (
        -- A chat that it alone would have begun.
        DELETE FROM chats c USING entry
        WHERE c.session_id = %(id)s AND c.chat = canonical_chat(c.session_id, entry.chat)
          AND c.last_message = %(message)s AND NOT c.archived AND NOT c.marked_unread
          AND NOT EXISTS (SELECT 1 FROM messages m
                          WHERE m.session_id = c.session_id AND m.chat = c.chat
                            AND m.message_id <> %(message)s AND m.ack >= 0)
    ), emitted AS (
        SELECT 1 AS n, 'message.ack' AS type, jsonb_build_object(
                   'id', %(message)s::text, 'chat', chat, 'ack', -1) AS payload
        FROM entry WHERE %(emit)s
        UNION ALL
        SELECT 2, 'message.status', jsonb_build_object('id', %(message)s::text, 'chat', chat,
                   'status', 'failed', 'error', %(error)s::text) FROM entry WHERE %(emit)s
"""  # noqa: S608 - of constants
    + _TWO_EVENTS
)


_DISOWN = """
    WITH fence AS (
        SELECT session_id FROM session_streams
        WHERE session_id = %(id)s AND epoch = %(epoch)s FOR UPDATE
    ), entry AS (
        UPDATE outbox SET state = 'failed', error = %(error)s, failure = %(failure)s
        WHERE session_id IN (SELECT session_id FROM fence) AND seq IN (
            SELECT seq FROM outbox
            WHERE session_id = %(id)s AND state = 'accepted' AND account NOT IN ('', %(account)s)
            ORDER BY seq LIMIT %(most)s)
        RETURNING seq, message_id, chat, trace
    ), history AS (
        UPDATE messages m SET ack = -1 FROM entry
        WHERE m.session_id = %(id)s AND m.message_id = entry.message_id
          AND m.chat = canonical_chat(m.session_id, entry.chat) AND m.from_me
    ), emitted AS (
        SELECT seq, 1 AS part, trace, 'message.ack' AS type, jsonb_build_object(
                   'id', message_id, 'chat', chat, 'ack', -1) AS payload FROM entry
        UNION ALL
        SELECT seq, 2, trace, 'message.status', jsonb_build_object('id', message_id, 'chat', chat,
                   'status', 'failed', 'error', %(error)s::text) FROM entry
    ), numbered AS (
        SELECT row_number() OVER (ORDER BY seq, part) AS n, trace, type, payload FROM emitted
    ), stream AS (
        UPDATE session_streams SET event_seq = event_seq + (SELECT count(*) FROM emitted)
        WHERE session_id IN (SELECT session_id FROM fence) AND EXISTS (SELECT 1 FROM emitted)
        RETURNING event_seq - (SELECT count(*) FROM emitted) AS before
    ), event AS (
        INSERT INTO events (session_id, seq, id, type, payload, trace)
        -- Of a random id, with a number at its end: hexadecimal digits are some of its alphabet.
        SELECT %(id)s, stream.before + n, left(%(event)s::text, -4) || lpad(to_hex(n), 4, '0'),
               type, payload, trace
        FROM numbered, stream
    )
    SELECT EXISTS (SELECT 1 FROM fence) AS owner, (SELECT count(*) FROM entry) AS failed
"""


def _fingerprint(chat: str, content: Mapping[str, Any]) -> str:
    same = [chat, fingerprinted(content)]
    text = json.dumps(same, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _row(row: Row) -> OutboxRow:
    return OutboxRow(
        seq=row["seq"],
        message_id=row["message_id"],
        chat=row["chat"],
        content=row["content"],
        state=OutboxState(row["state"]),
        attempts=row["attempts"],
        error=row["error"],
        accepted_at=row["accepted_at"],
        trace=row["trace"] or "",
        account=row["account"],
        failure=error_from_payload(row["failure"]) if row.get("failure") else None,
        kept_in=row.get("kept_in") or row["chat"],
    )
