"""Places and contact cards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import (
    ContactMessage,
    ContactsArrayMessage,
    LocationMessage,
    Message,
)

from actors.whatsapp.content.context import with_context
from cluster.domain.content import Contacts, Location

__all__ = ["BUILDERS"]


def _location(content: Location) -> Message:
    part = LocationMessage(
        degreesLatitude=float(content["latitude"]),
        degreesLongitude=float(content["longitude"]),
        name=str(content.get("text") or ""),
        address=str(content.get("address") or ""),
    )
    return Message(locationMessage=with_context(part, content))


def _contact(content: Contacts) -> Message:
    """`contacts`: names and vCards; one is a card, more are a stack of them."""
    cards = [
        ContactMessage(displayName=str(card["name"]), vcard=str(card["vcard"]))
        for card in content["contacts"]
    ]
    if len(cards) == 1:
        return Message(contactMessage=with_context(cards[0], content))
    stack = ContactsArrayMessage(displayName=str(content.get("text") or ""), contacts=cards)
    return Message(contactsArrayMessage=with_context(stack, content))


BUILDERS: dict[str, Callable[[Any], Message]] = {
    "location": _location,
    "contact": _contact,
}
