"""What a peer can choose, made fit to be kept: texts that are text, everything else finite.

A sender's client chooses the id, the texts, the nesting and the counts of what it sends; nothing
between it and us bounds them. PostgreSQL's index rows end at some 2,700 bytes, and every reader of
an event or a list pays for its size. Pure.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from google.protobuf.message import Message as Protobuf

from actors.whatsapp.port import HistoryArrived, WhatsAppEvent
from cluster.domain.history import HistoryChunk
from cluster.domain.printable import printable

__all__ = ["bounded", "bounded_chunk", "bounded_id", "repaired", "repaired_answer"]

P = TypeVar("P", bound=Protobuf)
T = TypeVar("T")

#: Bytes of an id or a JID. WhatsApp's own have 16 to 80.
ID = 256
#: Characters of a text or caption: what WhatsApp's own clients allow.
BODY = 65_536
#: Characters of any other text: names, subjects, reasons.
TEXT = 1024
DESCRIPTION = 8192
#: Of the rest of a message, as JSON: characters of one string (base64 stays whole: a multiple of
#: four), of all together, and levels.
STRING, JSON, DEPTH = 262_144, 524_288, 200
#: What a number, a key or a bracket of JSON counts.
_NODE = 8
#: Ids in one receipt, names in one chunk, members of a group: WhatsApp's own stay far below.
ITEMS = 20_000

_IDS = frozenset(
    {
        *("message_id", "message_ids", "reply_to", "chat", "sender", "jid", "pairs", "gone"),
        *("id", "label", "chat_address", "sender_address"),
    }
)
_LENGTHS = {"body": BODY, "description": DESCRIPTION}
#: Fields that hold JSON.
_JSON = frozenset({"payload", "events"})
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


def bounded(event: WhatsAppEvent) -> WhatsAppEvent:
    """The event with everything a peer could choose within bounds."""
    if isinstance(event, HistoryArrived):
        # Its chunks are made one by one, see `bounded_chunk`.
        return event
    within: WhatsAppEvent = _value(event, "")
    return within


def bounded_chunk(chunk: HistoryChunk) -> HistoryChunk:
    """The same for a part of a history."""
    within: HistoryChunk = _value(chunk, "")
    return within


def bounded_id(text: str) -> str:
    """An id that fits into an index: a longer one is replaced by its SHA-256, so that it stays one
    id wherever it is mentioned."""
    if len(text) * 4 <= ID or len(text.encode("utf-8", "replace")) <= ID:
        return text
    user, at, server = text.rpartition("@")  # any id, not only a JID
    digest = hashlib.sha256(user.encode("utf-8", "replace") or text.encode()).hexdigest()
    return f"long-{digest}{at}{server[:64]}"


def repaired(message: P) -> P:
    """`message` with text in every text field. Strings of proto2 need not be UTF-8, Go hands them
    on as they are, and Python's protobuf then gives bytes."""
    for field, value in message.ListFields():
        if field.message_type is not None:
            for one in value if field.is_repeated else (value,):
                if isinstance(one, Protobuf):
                    repaired(one)
        elif field.type == field.TYPE_STRING:
            if field.is_repeated:
                if any(isinstance(one, bytes) for one in value):
                    value[:] = [printable(one) for one in value]
            elif isinstance(value, bytes):
                setattr(message, field.name, printable(value))
    return message


def repaired_answer(answer: T) -> T:
    """What the library answered, each message in it with text in every text field: names of people
    and groups are their owners' choice."""
    if isinstance(answer, Protobuf):
        repaired(answer)
    elif isinstance(answer, Sequence) and not isinstance(answer, str | bytes):
        for one in answer:
            repaired_answer(one)
    return answer


def _value(value: Any, name: str) -> Any:
    if isinstance(value, str | bytes):
        text = printable(value)
        return bounded_id(text) if name in _IDS else text[: _LENGTHS.get(name, TEXT)]
    if isinstance(value, datetime):
        return min(max(value, _FIRST), _LAST)
    if is_dataclass(value) and not isinstance(value, type):
        changed = {
            field.name: new
            for field in fields(value)
            if (new := _field(getattr(value, field.name), field.name))
            is not getattr(value, field.name)
        }
        return replace(value, **changed) if changed else value
    # Not `Mapping`: what is none of it would be compared with each mapping there is.
    if isinstance(value, dict):
        return {bounded_id(str(key)): _value(one, name) for key, one in list(value.items())[:ITEMS]}
    if isinstance(value, tuple):
        return tuple(_value(one, name) for one in value[:ITEMS])
    return value


def _field(value: Any, name: str) -> Any:
    if name not in _JSON:
        return _value(value, name)
    if name == "events":
        return tuple((event, _each(payload)) for event, payload in value)
    return _each(value)


def _each(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Each value by itself: what is large must not displace what is small."""
    kept: dict[str, Any] = {}
    for key, value in list(payload.items())[:64]:
        budget = _Budget()
        kept[str(key)[:ID]] = budget.cut(value, 0)
        if budget.exceeded:
            kept["truncated"] = True
    return kept


class _Budget:
    """Goes through JSON once, and leaves out what is over the bounds."""

    def __init__(self) -> None:
        self._left = JSON
        self.exceeded = False

    def cut(self, value: Any, depth: int) -> Any:
        self._left -= _NODE
        if depth > DEPTH or self._left <= 0:
            self.exceeded = True
            return None
        if isinstance(value, str | bytes):
            text = printable(value)
            most = min(STRING, max(0, self._left) & ~3)
            if len(text) > most:
                self.exceeded, text = True, text[:most]
            self._left -= len(text)
            return text
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        if isinstance(value, dict):
            found = {}
            for key, one in value.items():
                if self._left <= 0:
                    self.exceeded = True
                    break
                short = str(key)[:ID]
                self._left -= len(short)
                found[short] = self.cut(one, depth + 1)
            return found
        if isinstance(value, list | tuple):
            items = []
            for one in value:
                if self._left <= 0:
                    self.exceeded = True
                    break
                items.append(self.cut(one, depth + 1))
            return items
        return value
