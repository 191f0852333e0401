"""Messages in WAHA's shapes, from what the history or an event keeps of them.

The one place that makes them: answers of the API, webhooks, live streams and the pull API alike.
"""

from __future__ import annotations

from typing import Any

from cluster.domain.content import public_content
from cluster.domain.message import StoredMessage
from cluster.domain.message_kind import kind_of
from cluster.domain.session import Me
from cluster.domain.waha_id import format_message_id, is_shared, waha_id
from cluster.domain.wire_message import part_of, raw_of
from cluster.events.message_parts import location_of, media_of, public_id, reply_of, vcards_of

__all__ = [
    "edited_payload",
    "like_gows",
    "message_payload",
    "reaction_payload",
    "revoked_payload",
]

#: `_data.Info` of a message of which nothing else is known.
_INFO = {
    "ServerID": 0,
    "Category": "",
    "Multicast": False,
    "MediaType": "",
    "Edit": "",
    "AddressingMode": "",
    "SenderAlt": "",
    "RecipientAlt": "",
}


def message_payload(message: StoredMessage, me: Me | None, *, files: str = "") -> dict[str, Any]:
    """WAHA's `WAMessage`. `me` is the session's account; `files` the URL under which the session's
    files are (`https://host/api/files/{session}`): without it no file has a URL."""
    quotes = bool(message.reply_to) and not kind_of(message.kind).acts
    place = location_of(message) if message.revoked_at is None else None
    begin = head(message, me)
    media = media_of(message, begin["id"], files)
    return begin | {
        "body": message.body,
        "hasMedia": media is not None or (message.has_media and message.revoked_at is None),
        "media": media,
        "mediaUrl": (media or {}).get("url") or "",
        "ack": message.ack.value,
        "ackName": message.ack.name,
        "author": _participant(message) or None,
        "location": place,
        "vCards": vcards_of(message) if message.revoked_at is None else None,
        "replyTo": reply_of(message, me, files) if quotes else None,
        "_data": like_gows(message),
    }


def reaction_payload(message: StoredMessage, me: Me | None, *, files: str = "") -> dict[str, Any]:
    """WAHA's `WAMessageReaction`."""
    key = _reacted_to(message)
    author = public_id(str(key.get("participant", "")), message, me)
    # The key says whose message it was from the point of view of the one who reacted.
    by_them = bool(key.get("fromMe"))
    if message.from_me or not is_shared(message.chat):
        own_target = by_them is message.from_me
    else:
        own_target = me is not None and author == me.id
    if not author and is_shared(message.chat):
        author = waha_id(message.sender) if by_them else ""
    return head(message, me) | {
        "reaction": {
            "text": message.body,
            "messageId": format_message_id(
                message.chat, message.reply_to, from_me=own_target, participant=author
            ),
        },
        "_data": like_gows(message),
    }


def edited_payload(message: StoredMessage, me: Me | None, *, files: str = "") -> dict[str, Any]:
    """WAHA's `WAMessageEditedBody`: the edit as a message, and what it edits."""
    payload = message_payload(message, me, files=files)
    return payload | {"editedMessageId": message.reply_to or None}


def revoked_payload(message: StoredMessage, me: Me | None, *, files: str = "") -> dict[str, Any]:
    """WAHA's `WAMessageRevokedBody`: the revocation as a message, and what it revokes."""
    return {
        "revokedMessageId": message.reply_to or None,
        "after": message_payload(message, me, files=files),
        "before": None,
        "_data": like_gows(message),
    }


def head(message: StoredMessage, me: Me | None) -> dict[str, Any]:
    """What WAHA's shapes of messages begin with: id, time, who and whom."""
    own, chat, sender = (me.id if me else ""), waha_id(message.chat), waha_id(message.sender)
    return {
        "id": format_message_id(
            message.chat, message.message_id, from_me=message.from_me, participant=message.sender
        ),
        "timestamp": int(message.timestamp.timestamp()),
        "from": (own or sender) if message.from_me else chat,
        "fromMe": message.from_me,
        "source": "api" if message.via_api else "app",
        "to": chat if message.from_me else own,
        "participant": _participant(message),
    }


def _participant(message: StoredMessage) -> str:
    return waha_id(message.sender) if is_shared(message.chat) else ""


def _reacted_to(message: StoredMessage) -> dict[str, Any]:
    """The protobuf's key of the message reacted to; an own reaction has the gateway's key."""
    if message.via_api:
        key = message.payload.get("content", {}).get("key", {})
        author = key.get("_sender") or key.get("sender", "")
        return {"fromMe": key.get("from_me"), "participant": author}
    return part_of(message.payload, "message", "reactionMessage", "key")


def like_gows(message: StoredMessage) -> dict[str, Any]:
    """WAHA's clients for the GOWS engine look into `_data.Info` and `_data.Message`."""
    info = {
        "ID": message.message_id,
        "Chat": message.chat,
        "Sender": message.sender,
        "IsFromMe": message.from_me,
        "IsGroup": is_shared(message.chat),
        "PushName": message.push_name,
        "Timestamp": message.timestamp.isoformat(),
        "Type": message.kind,
    }
    return {
        "Info": info | _INFO | (message.payload.get("info") or {}),
        "Message": raw_of(message.payload) or public_content(message.payload),
    }
