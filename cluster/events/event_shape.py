"""Answers to event messages in WAHA's shape (`EventResponsePayload`)."""

from __future__ import annotations

from typing import Any

from cluster.domain.event_answer import ANSWER, key_of
from cluster.domain.message import StoredMessage
from cluster.domain.session import Me
from cluster.events.message_shape import head, like_gows
from cluster.events.poll_shape import asked_for

__all__ = ["response_payload"]


def response_payload(message: StoredMessage, me: Me | None, *, files: str = "") -> dict[str, Any]:
    """`eventResponse` is null where the answer could not be opened."""
    return head(message, me) | {
        "eventCreationKey": asked_for(message, key_of(message), me),
        "eventResponse": message.payload.get(ANSWER),
        "_data": like_gows(message),
    }
