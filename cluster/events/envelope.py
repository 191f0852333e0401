"""An event of the log in WAHA's shape: what webhooks, live streams, sinks and the pull API emit."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from cluster.domain.message import Ack, StoredMessage
from cluster.domain.session import Me
from cluster.domain.waha_id import format_message_id, is_shared, waha_id
from cluster.events import event_shape, message_shape, poll_shape
from cluster.events.environment import ENGINE, environment
from cluster.events.stored_message import from_event

__all__ = ["Event", "EventSource", "body_of", "envelope"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One event as the log keeps it."""

    #: Unique everywhere, for consumers that drop duplicates.
    id: str
    session_id: int
    #: Grows by one with every event of the session.
    seq: int
    #: `message`, `message.ack`, `session.status` …
    type: str
    payload: dict[str, Any]
    happened_at: datetime
    #: W3C `traceparent` of the request it goes back to; None without one.
    trace: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EventSource:
    """The session that an event comes from."""

    name: str
    me: Me | None = None
    #: WAHA's `config.metadata`, sent with every event.
    metadata: dict[str, Any] = field(default_factory=dict)
    #: URL under which its files are: see `cluster.media.links.files_url`; empty: files have none.
    files: str = ""


def envelope(event: Event, source: EventSource) -> dict[str, Any]:
    """WAHA's event body; `gateway.seq` is ours: the number within the session, without gaps."""
    shape = _SHAPES.get(event.type)
    body: dict[str, Any] = {
        "id": event.id,
        "timestamp": int(event.happened_at.timestamp() * 1000),
        "event": event.type,
        "session": source.name,
        "metadata": source.metadata,
        "me": _me(source.me),
        "payload": shape(event.payload, source) if shape else event.payload,
        "engine": ENGINE,
        "environment": environment(),
        "gateway": {"seq": event.seq},
    }
    if not source.metadata:
        del body["metadata"]
    return body


def body_of(event: Event, source: EventSource) -> bytes:
    """The envelope as it goes over a wire."""
    return json.dumps(envelope(event, source), ensure_ascii=False, separators=(",", ":")).encode()


def _me(me: Me | None) -> dict[str, Any] | None:
    if me is None:
        return None
    body = {"id": me.id, "pushName": me.push_name, "lid": me.lid, "jid": me.jid}
    return {key: value for key, value in body.items() if value or key in {"id", "pushName"}}


def _status(payload: dict[str, Any], source: EventSource) -> dict[str, Any]:
    return {"name": source.name, "data": None, "statuses": []} | payload


def _ack(payload: dict[str, Any], source: EventSource) -> dict[str, Any]:
    chat, own = str(payload["chat"]), source.me.id if source.me else ""
    level = Ack(payload["ack"])
    by = waha_id(str(payload.get("by", "")))
    return {
        "id": format_message_id(chat, str(payload["id"]), from_me=True, participant=own),
        "from": own or waha_id(chat),
        "to": waha_id(chat),
        "participant": by if is_shared(chat) else "",
        "fromMe": True,
        "ack": level.value,
        "ackName": level.name,
        "_data": {"timestamp": payload.get("timestamp"), "by": by},
    }


def _waiting(payload: dict[str, Any], source: EventSource) -> dict[str, Any]:
    chat, sender = str(payload["chat"]), str(payload.get("from", ""))
    return {
        "id": format_message_id(chat, str(payload["id"]), from_me=False, participant=sender),
        "from": waha_id(chat),
        "to": source.me.id if source.me else "",
        "fromMe": False,
        "participant": waha_id(sender) if is_shared(chat) else "",
        "_data": payload,
    }


def _change_refused(payload: dict[str, Any], source: EventSource) -> dict[str, Any]:
    """As the change would have been published, and why it was not made."""
    name = "message.edited" if payload.get("kind") == "edit" else "message.revoked"
    return _SHAPES[name](payload, source) | {"refused": payload.get("refused")}


class _OfMessage(Protocol):
    def __call__(
        self, message: StoredMessage, me: Me | None, *, files: str = ""
    ) -> dict[str, Any]: ...


def _of_message(shape: _OfMessage) -> Callable[[dict[str, Any], EventSource], dict[str, Any]]:
    return lambda payload, source: shape(from_event(payload), source.me, files=source.files)


#: Other events are kept in WAHA's shape already.
_SHAPES: dict[str, Callable[[dict[str, Any], EventSource], dict[str, Any]]] = {
    "session.status": _status,
    "message": _of_message(message_shape.message_payload),
    "message.any": _of_message(message_shape.message_payload),
    "message.reaction": _of_message(message_shape.reaction_payload),
    "message.edited": _of_message(message_shape.edited_payload),
    "message.revoked": _of_message(message_shape.revoked_payload),
    "message.change.refused": _change_refused,
    "message.ack": _ack,
    "message.ack.group": _ack,
    "message.waiting": _waiting,
    "poll.vote": _of_message(poll_shape.vote_payload),
    "poll.vote.failed": _of_message(poll_shape.vote_payload),
    "event.response": _of_message(event_shape.response_payload),
    "event.response.failed": _of_message(event_shape.response_payload),
}
