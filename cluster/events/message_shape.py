"""Messages in WAHA's shapes, from what the history or an event keeps of them.

The one place that makes them: answers of the API, webhooks, live streams and the pull API alike.
"""

from __future__ import annotations

from typing import Any

from cluster.domain.content import asked
from cluster.domain.message import StoredMessage
from cluster.domain.session import Me
from cluster.domain.waha_id import format_message_id, is_shared, waha_id
from cluster.events.message_parts import location_of, media_of, vcards_of

__all__ = ["edited_payload", "message_payload", "reaction_payload", "revoked_payload"]

#: Kinds that act on a message: `reply_to` is their target, not a quoted message.
_ACTS = {"reaction", "revoke", "edit", "poll_vote", "pin"}


def message_payload(message: StoredMessage, me: Me | None, *, files: str = "") -> dict[str, Any]:
    """WAHA's `WAMessage`. `me` is the session's account; `files` the URL under which the session's
    files are (`https://host/api/files/{session}`): without it no file has a URL."""
    quotes = bool(message.reply_to) and message.kind not in _ACTS
    head = _head(message, me)
    media = media_of(message, head["id"], files)
    return head | {
        "body": message.body,
        "hasMedia": message.has_media,
        "media": media,
        "mediaUrl": (media or {}).get("url") or "",
        "ack": message.ack.value,
        "ackName": message.ack.name,
        "author": _participant(message) or None,
        "location": location_of(message),
        "vCards": vcards_of(message),
        "replyTo": {"id": message.reply_to, "hasMedia": False} if quotes else None,
        "_data": _like_gows(message),
    }


def reaction_payload(message: StoredMessage, me: Me | None) -> dict[str, Any]:
    """WAHA's `WAMessageReaction`."""
    key = _reacted_to(message)
    # The key tells whose message it was from the point of view of the one who reacted.
    by_them = bool(key.get("fromMe"))
    if message.from_me or not is_shared(message.chat):
        own_target = by_them is message.from_me
    else:
        own_target = me is not None and waha_id(str(key.get("participant", ""))) in {me.id, me.lid}
    return _head(message, me) | {
        "reaction": {
            "text": message.body,
            "messageId": format_message_id(
                message.chat,
                message.reply_to,
                from_me=own_target,
                participant=str(key.get("participant", "")),
            ),
        },
        "_data": _like_gows(message),
    }


def edited_payload(message: StoredMessage, me: Me | None) -> dict[str, Any]:
    """WAHA's `WAMessageEditedBody`: the edit as a message, and what it edits."""
    return message_payload(message, me) | {"editedMessageId": message.reply_to or None}


def revoked_payload(message: StoredMessage, me: Me | None) -> dict[str, Any]:
    """WAHA's `WAMessageRevokedBody`: the revocation as a message, and what it revokes."""
    return {
        "revokedMessageId": message.reply_to or None,
        "after": message_payload(message, me),
        "before": None,
        "_data": _like_gows(message),
    }


def _head(message: StoredMessage, me: Me | None) -> dict[str, Any]:
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
        return {"fromMe": key.get("from_me"), "participant": key.get("sender", "")}
    return dict(message.payload.get("message", {}).get("reactionMessage", {}).get("key", {}))


def _like_gows(message: StoredMessage) -> dict[str, Any]:
    """WAHA's clients for the GOWS engine look into `_data.Info` and `_data.Message`."""
    return {
        "Info": {
            "ID": message.message_id,
            "Chat": message.chat,
            "Sender": message.sender,
            "IsFromMe": message.from_me,
            "IsGroup": is_shared(message.chat),
            "PushName": message.push_name,
            "Timestamp": message.timestamp.isoformat(),
            "Type": message.kind,
        },
        "Message": message.payload.get("message", asked(message.payload)),
    }
