"""Votes in polls in WAHA's shape (`PollVotePayload`)."""

from __future__ import annotations

from typing import Any

from cluster.domain.message import StoredMessage
from cluster.domain.poll import SELECTED
from cluster.domain.session import Me
from cluster.domain.waha_id import format_message_id, is_shared, waha_id
from cluster.domain.wire_message import part_of
from cluster.events.message_parts import public_id

__all__ = ["asked_for", "vote_payload"]


def vote_payload(message: StoredMessage, me: Me | None, *, files: str = "") -> dict[str, Any]:
    """`vote` is who voted what, `poll` the message that asked."""
    key, options = _key_and_options(message)
    chat, own = waha_id(message.chat), me.id if me else "me"
    voter, shared = waha_id(message.sender), is_shared(message.chat)
    return {
        "vote": {
            "id": format_message_id(
                message.chat,
                message.message_id,
                from_me=message.from_me,
                participant=message.sender,
            ),
            "to": chat if message.from_me or shared else own,
            "from": own if message.from_me else voter,
            "fromMe": message.from_me,
            "participant": voter if shared else None,
            "selectedOptions": options,
            "timestamp": _voted_at(message),
        },
        "poll": asked_for(message, key, me),
        "_data": message.payload,
    }


def asked_for(message: StoredMessage, key: dict[str, Any], me: Me | None) -> dict[str, Any]:
    """WAHA's `MessageDestination` of what `message` answers: a poll, an event. `key` is the
    protobuf's, from the answerer's point of view."""
    asked_by_voter = bool(key.get("fromMe"))
    chat, own = waha_id(message.chat), me.id if me else "me"
    voter = waha_id(message.sender)
    shared = is_shared(message.chat)
    asker = public_id(str(key.get("participant", "")), message, me)
    if shared:
        asker = voter if asked_by_voter else asker
        own_poll = (asked_by_voter and message.from_me) or (me is not None and asker == me.id)
    else:
        own_poll = asked_by_voter is message.from_me
        asker = own if own_poll else chat
    return {
        "id": format_message_id(
            message.chat, str(key.get("ID", "")), from_me=own_poll, participant=asker
        ),
        "to": chat if own_poll or shared else own,
        "from": own if own_poll else asker or chat,
        "fromMe": own_poll,
        "participant": (asker or None) if shared else None,
    }


def _voted_at(message: StoredMessage) -> int:
    """Unix time in ms, as the voter's device says it."""
    update = part_of(message.payload, "message", "pollUpdateMessage")
    sent = str(update.get("senderTimestampMS") or "")
    return int(sent) if sent.isdecimal() else int(message.timestamp.timestamp() * 1000)


def _key_and_options(message: StoredMessage) -> tuple[dict[str, Any], list[str]]:
    """The protobuf's key of the poll and the options chosen; a vote by the API has the gateway's
    own content."""
    if (content := message.payload.get("content")) is not None:
        asked = content.get("key") or {}
        key = {
            "fromMe": asked.get("from_me"),
            "ID": asked.get("id"),
            "participant": asked.get("_sender") or asked.get("sender", ""),
        }
        return key, list(content.get("options") or ())
    key = part_of(message.payload, "message", "pollUpdateMessage", "pollCreationMessageKey")
    return key, message.payload.get(SELECTED) or []
