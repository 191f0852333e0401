"""Callers' names of messages, turned into what the protocol needs to point at them."""

from __future__ import annotations

import json
from typing import Any

from cluster.domain.errors import Invalid, NotFound
from cluster.domain.message import StoredMessage
from cluster.domain.message_ref import MessageRef
from cluster.domain.session import SessionRecord
from cluster.stores import Stores

__all__ = ["bare_sender", "key_of", "known_message", "message_key", "quotation"]

#: Bytes of JSON up to which a quoted message is quoted whole, not only by its text.
_WHOLE = 16_384


async def known_message(
    stores: Stores, record: SessionRecord, ref: MessageRef
) -> StoredMessage | None:
    """The message in the session's history; of several with its id the one that `ref` means."""
    found = await stores.messages.find(record.id, ref.message_id)
    fitting = [
        message
        for message in found
        if ref.chat in ("", message.chat) and ref.from_me in (None, message.from_me)
    ]
    # One that is alone with its id is meant, by whatever address its chat was named.
    return next(iter(fitting or found[:1]), None) if len(found) < 2 else next(iter(fitting), None)


async def message_key(
    stores: Stores, record: SessionRecord, ref: MessageRef, field: str = "messageId"
) -> dict[str, Any]:
    """The protocol's key: `id`, `chat`, `from_me`, `sender`. From the history, or from what the
    caller said. Raises `NotFound` naming `field` when neither tells enough."""
    message = await known_message(stores, record, ref)
    if message is not None:
        return key_of(message)
    if not ref.chat or ref.from_me is None:
        raise NotFound(
            f"{field} is no message of this session's history; give it in full: "
            "{true|false}_{chatId}_{id}[_{participant}]",
            field=field,
        )
    own = record.me.id.replace("@c.us", "@s.whatsapp.net") if record.me else ""
    sender = own if ref.from_me else ref.sender or ref.chat
    return {"id": ref.message_id, "chat": ref.chat, "from_me": ref.from_me, "sender": sender}


def key_of(message: StoredMessage) -> dict[str, Any]:
    """The protocol's key of a message of the history."""
    return {
        "id": message.message_id,
        "chat": message.chat,
        "from_me": message.from_me,
        "sender": bare_sender(message),
    }


def bare_sender(message: StoredMessage) -> str:
    """Who wrote it, as the chat addresses people: in groups that can be the LID."""
    address = str(message.payload.get("sender_address") or "")
    if not address or not message.chat.endswith(("@g.us", "@broadcast")):
        return message.sender
    user, _, server = address.rpartition("@")
    return f"{user.partition(':')[0]}@{server}"


async def quotation(stores: Stores, record: SessionRecord, ref: MessageRef) -> dict[str, Any]:
    """What a reply says of the message it quotes. Raises `Invalid` naming `reply_to`."""
    message = await known_message(stores, record, ref)
    if message is None:
        try:
            key = await message_key(stores, record, ref)
        except NotFound as error:
            raise Invalid(
                "reply_to is no message of this session's history", field="reply_to"
            ) from error
        return {"id": ref.message_id, "sender": key["sender"], "body": ""}
    quoted: dict[str, Any] = {
        "id": ref.message_id,
        "sender": bare_sender(message),
        "body": message.body,
    }
    original = message.payload.get("message")
    if original and len(json.dumps(original)) <= _WHOLE:
        quoted["_message"] = {k: v for k, v in original.items() if k != "messageContextInfo"}
    return quoted
