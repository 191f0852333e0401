"""A message inside an event: the whole of it, as it was when it happened."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from cluster.domain.message import Ack, StoredMessage

__all__ = ["from_event", "to_event"]

_FIELDS = (
    *("message_id", "chat", "sender", "from_me", "kind", "body", "via_api", "has_media"),
    *("reply_to", "push_name", "payload"),
)


def to_event(message: StoredMessage) -> dict[str, Any]:
    """JSON-able; `from_event` reads it."""
    kept = {name: getattr(message, name) for name in _FIELDS}
    return kept | {"timestamp": message.timestamp.timestamp(), "ack": int(message.ack)}


def from_event(payload: dict[str, Any]) -> StoredMessage:
    """The message that `to_event` kept."""
    kept = {name: payload[name] for name in _FIELDS if name in payload}
    return StoredMessage(
        **kept
        | {
            "timestamp": datetime.fromtimestamp(float(payload["timestamp"]), UTC),
            "ack": Ack(payload.get("ack", 0)),
        }
    )
