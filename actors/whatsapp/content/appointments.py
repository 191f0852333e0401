"""Appointments: what WhatsApp calls events (waE2E.proto, EventMessage)."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import (
    EventMessage,
    LocationMessage,
    Message,
    MessageContextInfo,
)

from actors.whatsapp.content.context import with_context

__all__ = ["BUILDERS"]


def _event(content: dict[str, Any]) -> Message:
    """`text` (its name), `description`, `starts_at` and `ends_at` (Unix seconds), `place`,
    `guests` (whether others may be brought along), `_secret` (32 bytes, base64: answers are
    encrypted with it, so every try has the same)."""
    part = EventMessage(
        name=str(content["text"]),
        isCanceled=False,
        description=str(content.get("description") or ""),
        startTime=int(content["starts_at"]),
        extraGuestsAllowed=bool(content.get("guests")),
    )
    if content.get("ends_at") is not None:
        part.endTime = int(content["ends_at"])
    if content.get("place"):
        part.location.CopyFrom(LocationMessage(name=str(content["place"])))
    return Message(
        eventMessage=with_context(part, content),
        messageContextInfo=MessageContextInfo(messageSecret=base64.b64decode(content["_secret"])),
    )


BUILDERS: dict[str, Callable[[dict[str, Any]], Message]] = {"event": _event}
