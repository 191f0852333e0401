"""The parts of a message that WAHA's shape has fields of their own for: file, place, cards."""

from __future__ import annotations

from typing import Any

from cluster.domain.message import StoredMessage
from cluster.media.links import file_of, file_url

__all__ = ["location_of", "media_of", "vcards_of"]


def media_of(message: StoredMessage, waha_message_id: str, files: str) -> dict[str, Any] | None:
    """WAHA's `WAMedia`. `files`: URL under which the session's files are; without it no `url` is
    told. None when the message has no file."""
    file = file_of(message) if message.has_media else None
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
    if message.kind != "location":
        return None
    if (content := message.payload.get("content")) is not None:
        place = {
            "degreesLatitude": content.get("latitude"),
            "degreesLongitude": content.get("longitude"),
            "name": content.get("text"),
            "address": content.get("address"),
        }
        live = False
    else:
        raw = message.payload.get("message") or {}
        live = "liveLocationMessage" in raw
        place = raw.get("liveLocationMessage" if live else "locationMessage") or {}
    return {
        "latitude": str(place.get("degreesLatitude", 0)),
        "longitude": str(place.get("degreesLongitude", 0)),
        "live": live,
        "name": place.get("name") or None,
        "address": place.get("address") or None,
        "url": place.get("URL") or None,
        "description": place.get("caption") or None,
        "thumbnail": place.get("JPEGThumbnail") or None,
    }


def vcards_of(message: StoredMessage) -> list[str] | None:
    """The vCards of a message with contacts."""
    if message.kind != "contact":
        return None
    if (content := message.payload.get("content")) is not None:
        return [str(card.get("vcard", "")) for card in content.get("contacts", ())]
    raw = message.payload.get("message") or {}
    if one := raw.get("contactMessage"):
        return [str(one.get("vcard", ""))]
    several = raw.get("contactsArrayMessage") or {}
    return [str(card.get("vcard", "")) for card in several.get("contacts", ())]
