"""Events that people are invited to (`EventMessage`, WAWebProtobufsE2E.proto)."""

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
from cluster.domain.content import Event

__all__ = ["BUILDERS"]


def _event(content: Event) -> Message:
    """`text` (its name), `description`, `start` and perhaps `end` (Unix seconds), `place`,
    `guests`, `_secret` (32 bytes, base64: answers are encrypted with it)."""
    part = EventMessage(
        name=str(content["text"]),
        description=str(content.get("description") or ""),
        startTime=int(content["start"]),
        extraGuestsAllowed=bool(content.get("guests")),
        isCanceled=False,
    )
    if end := content.get("end"):
        part.endTime = int(end)
    if content.get("place"):
        part.location.CopyFrom(LocationMessage(name=str(content["place"])))
    return Message(
        eventMessage=with_context(part, content),
        messageContextInfo=MessageContextInfo(messageSecret=base64.b64decode(content["_secret"])),
    )


BUILDERS: dict[str, Callable[[Any], Message]] = {"event": _event}
