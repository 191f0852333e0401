"""Parts of a message that WAHA's shape has fields of their own for: file, place, cards, reply."""

from __future__ import annotations

from typing import Any

from cluster.domain.message import StoredMessage
from cluster.domain.session import Me
from cluster.domain.waha_id import format_message_id, waha_id
from cluster.domain.wire_message import (
    context_of,
    file_part,
    kind_and_text,
    main_part,
    part_of,
    raw_of,
)
from cluster.media.links import file_of, file_url

__all__ = ["location_of", "media_of", "public_id", "reply_of", "vcards_of"]


def media_of(message: StoredMessage, waha_message_id: str, files: str) -> dict[str, Any] | None:
    """WAHA's `WAMedia`. `files`: URL under which the session's files are; without it no `url` is
    shown. None when the message has no file."""
    file = file_of(message)
    if file is None:
        return None
    return {
        "url": file_url(files, waha_message_id, file) if files else None,
        "mimetype": file.mimetype or None,
        "filename": file.filename or None,
        "s3": None,
        "error": None,
    }


def location_of(message: StoredMessage) -> dict[str, Any] | None:
    """WAHA's `WALocation`."""
    live, place = False, None
    if (raw := raw_of(message.payload)) is not None:
        name, part = main_part(raw)
        if name in {"locationMessage", "liveLocationMessage"}:
            live, place = name == "liveLocationMessage", part
    elif message.kind == "location":
        content = message.payload.get("content") or {}
        place = {
            "degreesLatitude": content.get("latitude"),
            "degreesLongitude": content.get("longitude"),
            "name": content.get("text"),
            "address": content.get("address"),
        }
    if not isinstance(place, dict):
        return None
    return {
        "latitude": str(place.get("degreesLatitude", 0)),
        "longitude": str(place.get("degreesLongitude", 0)),
        "live": live,
        "name": place.get("name") or None,
        "address": place.get("address") or None,
        "url": place.get("URL") or None,
        "description": place.get("comment") or place.get("caption") or None,
        "thumbnail": place.get("JPEGThumbnail") or None,
    }


def vcards_of(message: StoredMessage) -> list[str] | None:
    """The vCards of a message with contacts."""
    if (raw := raw_of(message.payload)) is not None:
        name, part = main_part(raw)
        if name == "contactMessage":
            return [str(part_of(part).get("vcard") or "")]
        if name == "contactsArrayMessage":
            cards = part_of(part).get("contacts")
            found = cards if isinstance(cards, list) else []
            return [str(part_of(card).get("vcard") or "") for card in found]
    elif message.kind == "contact":
        content = message.payload.get("content") or {}
        return [str(card.get("vcard", "")) for card in content.get("contacts", ())]
    return None


def reply_of(message: StoredMessage, me: Me | None, files: str) -> dict[str, Any] | None:
    """WAHA's `ReplyToMessage`: what the quotation in the message says of the quoted one. None for
    a message that quotes nothing."""
    file: Any = None
    if (raw := raw_of(message.payload)) is not None:
        context = context_of(raw)
        if not context.get("stanzaID"):
            return None
        quoted = part_of(context, "quotedMessage")
        author = public_id(str(context.get("participant") or ""), message, me)
        body = kind_and_text(quoted)[1]
    else:
        content = message.payload.get("content") or {}
        asked = content.get("quoted")
        if not isinstance(asked, dict):
            return None
        context = {"stanzaID": asked.get("id")}
        quoted, file = asked.get("_message") or {}, asked.get("_file")
        author = public_id(str(asked.get("_sender") or asked.get("sender") or ""), message, me)
        body = str(asked.get("body") or "") or kind_and_text(quoted)[1]
    chat = str(context.get("remoteJID") or message.chat)
    original = StoredMessage(
        message_id=str(context["stanzaID"]),
        chat=chat,
        sender=author,
        from_me=me is not None and author == me.id,
        timestamp=message.timestamp,
        kind="",
        payload={"content": {"file": file}} if file else {"message": quoted},
    )
    waha_message_id = format_message_id(
        chat, original.message_id, from_me=original.from_me, participant=author
    )
    return {
        "id": original.message_id,
        "participant": author or None,
        "body": body,
        "hasMedia": bool(file) or file_part(quoted) is not None,
        "media": media_of(original, waha_message_id, files),
        "_data": quoted or None,
    }


def public_id(jid: str, message: StoredMessage, me: Me | None) -> str:
    """How somebody whom a message names is shown: by phone number where it is known, oneself as
    the account. `jid` may be a LID, with or without a device."""
    known = waha_id(jid)
    if me is not None and me.lid and known == me.lid:
        return me.id
    return waha_id(str((message.payload.get("phones") or {}).get(known, known)))
