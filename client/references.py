"""Callers' names of messages, turned into what the protocol needs to point at them."""

from __future__ import annotations

import json
from typing import Any

from cluster.domain.content import Quotation
from cluster.domain.errors import Invalid, NotFound
from cluster.domain.jid import bare_jid
from cluster.domain.message import StoredMessage
from cluster.domain.message_ref import LastMessage, MessageKey, MessageRef
from cluster.domain.session import SessionRecord
from cluster.domain.wire_message import is_view_once, main_part, raw_of, with_text
from cluster.stores import Stores

__all__ = [
    "bare_sender",
    "key_of",
    "known_message",
    "last_of",
    "message_key",
    "present_message",
    "quotation",
    "shown",
]

#: Bytes of JSON up to which a quoted message is quoted whole, not only by its text.
_WHOLE = 16_384
#: Of a quoted own file: where it is, and what.
_OF_FILE = {"mimetype", "filename", "_object", "_size"}
#: Of a quoted message's context.
_NESTED = {"quotedMessage", "stanzaID", "participant", "remoteJID"}
#: Kinds with a file -> their part of the protobuf.
_FILES = {
    "image": "imageMessage",
    "video": "videoMessage",
    "audio": "audioMessage",
    "document": "documentMessage",
    "sticker": "stickerMessage",
}


async def known_message(
    stores: Stores, record: SessionRecord, ref: MessageRef
) -> StoredMessage | None:
    """The message in the session's history; of several with its id the one that `ref` means."""
    here = await stores.messages.find(record.id, ref.message_id, chat=ref.chat)
    found = here
    if not here and ref.chat:
        found = await stores.messages.find(record.id, ref.message_id)
    fitting = [message for message in found if ref.from_me in (None, message.from_me)]
    if len(found) == 1:
        # One that is alone with its id is meant, by whatever address its chat was named.
        return found[0]
    return next(iter(fitting), None) if here else None


async def present_message(
    stores: Stores, record: SessionRecord, ref: MessageRef, field: str = "messageId"
) -> StoredMessage | None:
    """`known_message`; raises `NotFound` naming `field` when it was deleted for everyone."""
    message = await known_message(stores, record, ref)
    if message is not None and message.revoked_at is not None:
        raise NotFound(f"{field} is a message that was deleted for everyone", field=field)
    return message


async def message_key(
    stores: Stores,
    record: SessionRecord,
    ref: MessageRef,
    field: str = "messageId",
    *,
    deleted: bool = False,
) -> MessageKey:
    """The protocol's key. From the history, or from what the
    caller said. Raises `NotFound` naming `field` when neither says enough, or when it was deleted
    for everyone (`deleted`: such a one will do)."""
    find = known_message if deleted else present_message
    message = await find(stores, record, ref)
    if message is not None:
        return key_of(message)
    if not ref.chat or ref.from_me is None:
        raise NotFound(
            f"{field} is no message of this session's history; give it in full: "
            "{true|false}_{chatId}_{id}[_{participant}]",
            field=field,
        )
    own = record.me.account if record.me else ""
    sender = own if ref.from_me else ref.sender or ref.chat
    return MessageKey(id=ref.message_id, chat=ref.chat, from_me=ref.from_me, sender=sender)


def key_of(message: StoredMessage) -> MessageKey:
    """The protocol's key of a message of the history."""
    return MessageKey(
        id=message.message_id,
        chat=message.chat,
        from_me=message.from_me,
        sender=bare_sender(message),
        known_as=message.sender,
    )


def last_of(message: StoredMessage) -> LastMessage:
    """The same of the newest one of a chat."""
    key = key_of(message)
    return LastMessage(
        id=key.id,
        chat=key.chat,
        from_me=key.from_me,
        sender=key.sender,
        known_as=key.known_as,
        timestamp=int(message.timestamp.timestamp()),
    )


def bare_sender(message: StoredMessage) -> str:
    """Who wrote it, as the chat addresses people: in groups that can be the LID."""
    address = str(message.payload.get("sender_address") or "")
    if not address or not message.chat.endswith(("@g.us", "@broadcast")):
        return message.sender
    return bare_jid(address)


async def quotation(stores: Stores, record: SessionRecord, ref: MessageRef) -> Quotation:
    """What a reply says of the message it quotes: as it is shown now. Raises `Invalid` naming
    `reply_to`, `NotFound` when it was deleted for everyone."""
    message = await present_message(stores, record, ref, "reply_to")
    if message is None:
        try:
            key = await message_key(stores, record, ref)
        except NotFound as error:
            raise Invalid(
                "reply_to is no message of this session's history", field="reply_to"
            ) from error
        return {"id": ref.message_id, "sender": key.sender, "body": ""}
    quoted: Quotation = {
        "id": ref.message_id,
        "sender": bare_sender(message),
        "body": message.body,
        "_sender": message.sender,
    }
    if isinstance(file := (message.payload.get("content") or {}).get("file"), dict):
        quoted["_file"] = {k: v for k, v in file.items() if k in _OF_FILE}
    raw = shown(message) or _sketch(message)
    if raw and (whole := _within_bounds(raw)):
        quoted["_message"] = whole
    return quoted


def shown(message: StoredMessage) -> dict[str, Any] | None:
    """The protobuf of a message as its edits left it; None of what the API composed."""
    raw = raw_of(message.payload)
    if raw is None or message.edited_at is None:
        return raw
    return with_text(raw, message.body)


def _within_bounds(raw: dict[str, Any]) -> dict[str, Any] | None:
    """Without what a quotation does not need; the picture goes when it is too large."""
    name, part = main_part(raw)
    if is_view_once(raw):
        # By its kind, as WhatsApp's apps do.
        return {name: {"viewOnce": True}}
    if isinstance(part, dict):
        context = part.get("contextInfo") or {}
        if "quotedMessage" in context:
            # What the quoted one replied to is not quoted along.
            part = part | {"contextInfo": {k: v for k, v in context.items() if k not in _NESTED}}
        if len(json.dumps(part)) > _WHOLE:
            part = {k: v for k, v in part.items() if k != "JPEGThumbnail"}
    found = {name: part} if name else None
    return found if found and len(json.dumps(found)) <= _WHOLE else None


def _sketch(message: StoredMessage) -> dict[str, Any] | None:
    """What there is to show of a message that the API composed, where that is not a text."""
    content = message.payload.get("content") or {}
    file = content.get("file")
    if isinstance(file, dict) and message.kind in _FILES:
        part = {"mimetype": str(file.get("mimetype") or "")}
        if message.body:
            part["caption"] = message.body
        if message.kind == "document":
            part["fileName"] = str(file.get("filename") or "")
        if thumbnail := (file.get("_facts") or {}).get("thumbnail"):
            part["JPEGThumbnail"] = str(thumbnail)
        return {_FILES[message.kind]: part}
    if message.kind == "location":
        place = {"degreesLatitude": content["latitude"], "degreesLongitude": content["longitude"]}
        return {"locationMessage": place | {"name": str(content.get("text") or "")}}
    if message.kind == "poll":
        options = [{"optionName": str(option)} for option in content.get("options", ())]
        return {"pollCreationMessage": {"name": message.body, "options": options}}
    if message.kind == "contact" and (cards := content.get("contacts")):
        first = cards[0]
        return {"contactMessage": {"displayName": first["name"], "vcard": first["vcard"]}}
    return None
