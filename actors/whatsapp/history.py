"""What a phone sends of its history, turned into the gateway's own terms. Pure.

The library fetches the parts, acknowledges them and hands each over as one event (whatsmeow
message.go, handleHistorySyncNotification); times are Unix seconds, `status` counts one higher than
WAHA's acks (waWeb.proto, WebMessageInfo.Status).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import structlog

from actors.whatsapp.bounds import bounded_chunk
from actors.whatsapp.incoming import as_json, describe, is_media, timestamp
from cluster.domain.chat_timer import ChatTimer
from cluster.domain.history import GroupEvent, HistoryChat, HistoryChunk
from cluster.domain.jid import bare_jid
from cluster.domain.message import Ack, StoredMessage
from cluster.domain.message_kind import kind_of
from cluster.telemetry.metrics.meter import METER

__all__ = ["chunks_of"]

log = structlog.get_logger(__name__)

#: Messages per chunk: some 20 ms of PostgreSQL's time.
_CHUNK = 250
#: Names and pairs per chunk.
_PEOPLE = 1000
#: WebMessageInfo.StubType: deleted for everyone.
_REVOKED = 1
#: GroupParticipant.Rank
_ROLES = {0: "participant", 1: "admin", 2: "superadmin"}


def chunks_of(data: Any, own_jid: str) -> Iterator[HistoryChunk]:
    """`data`: waHistorySync.HistorySync; `own_jid`: this account's bare JID. In an order in which
    they can be written: who is who comes first. What of it cannot be understood is left out."""
    return map(bounded_chunk, _chunks(data, own_jid))


def _chunks(data: Any, own_jid: str) -> Iterator[HistoryChunk]:
    pairs = [(p.lidJID, p.pnJID) for p in data.phoneNumberToLidMappings]
    pairs += [pair for c in data.conversations if (pair := _pair(c)) is not None]
    both = [(_jid(lid), _jid(phone)) for lid, phone in pairs if lid and phone]
    known = [(lid, phone) for lid, phone in both if lid.endswith("@lid")]
    for part in _slices(known, _PEOPLE):
        yield HistoryChunk(pairs=tuple(part))
    names = [(_jid(p.ID), p.pushname) for p in data.pushnames if p.ID and p.pushname]
    for part in _slices(names, _PEOPLE):
        yield HistoryChunk(push_names=tuple(part))
    for conversation in data.conversations:
        yield from _conversation(conversation, own_jid)
    statuses = [
        message
        for one in data.statusV3Messages
        for message in _with_reactions(one, "status@broadcast", own_jid)
    ]
    for part in _slices(statuses, _CHUNK):
        yield HistoryChunk(messages=tuple(part))


def _conversation(conversation: Any, own_jid: str) -> Iterator[HistoryChunk]:
    chat = _jid(conversation.ID)
    if not chat:
        return
    messages: list[StoredMessage] = []
    for one in conversation.messages:
        messages += _with_reactions(one.message, chat, own_jid)
    messages = _with_unread(messages, conversation.unreadCount)
    last = conversation.conversationTimestamp or conversation.lastMsgTimestamp
    newest = max((m.timestamp for m in messages), default=None)
    first = HistoryChunk(
        names=((chat, conversation.name),) if conversation.name and _is_person(chat) else (),
        groups=_group(conversation, chat),
    )
    for part in _slices(messages, _CHUNK):
        yield HistoryChunk(names=first.names, groups=first.groups, messages=tuple(part))
    if conversation.ephemeralExpiration:
        set_at = conversation.ephemeralSettingTimestamp or last
        timer = ChatTimer.of(chat, conversation.ephemeralExpiration, timestamp(set_at or 0))
        if timer is not None:
            yield HistoryChunk(timers=(timer,))
    if last or newest is not None:
        yield HistoryChunk(
            names=first.names,
            groups=first.groups,
            chats=(
                HistoryChat(
                    jid=chat,
                    name=conversation.name,
                    last_at=newest or timestamp(last),
                    archived=conversation.archived,
                    marked_unread=conversation.markedAsUnread,
                ),
            ),
        )


def _with_reactions(info: Any, chat: str, own_jid: str) -> list[StoredMessage]:
    try:
        return _messages_of(info, chat, own_jid)
    except Exception:
        # One message that is not understood is no reason to lose a history.
        log.exception("history.message_not_understood")
        METER.count("events_failed", "HistoryMessage")
        return []


def _messages_of(info: Any, chat: str, own_jid: str) -> list[StoredMessage]:
    message = _message(info, chat, own_jid)
    if message is None:
        return []
    reactions = []
    for one in info.reactions:
        if not one.key.ID or not one.text:
            continue
        from_me = one.key.fromMe
        reactions.append(
            StoredMessage(
                message_id=one.key.ID,
                chat=chat,
                sender=own_jid if from_me else _jid(one.key.participant) or chat,
                from_me=from_me,
                timestamp=timestamp(one.senderTimestampMS)
                if one.senderTimestampMS
                else message.timestamp,
                kind="reaction",
                body=one.text,
                ack=Ack.READ,
                reply_to=message.message_id,
                payload={
                    "message": {
                        "reactionMessage": {
                            "key": {"ID": message.message_id, "fromMe": message.from_me is from_me},
                            "text": one.text,
                        }
                    }
                },
            )
        )
    return [message, *reactions]


def _message(info: Any, chat: str, own_jid: str) -> StoredMessage | None:
    """None: there is nothing to show."""
    if not info.key.ID or not info.messageTimestamp:
        return None
    raw = as_json(info.message)
    kind, body, reply_to = describe(raw)
    revoked = info.messageStubType == _REVOKED
    if kind_of(kind).silent and not revoked:
        return None
    from_me = info.key.fromMe
    author = _jid(info.key.participant) or _jid(info.participant) or chat
    return StoredMessage(
        message_id=info.key.ID,
        chat=chat,
        sender=own_jid if from_me else author,
        from_me=from_me,
        timestamp=timestamp(info.messageTimestamp),
        kind="text" if kind_of(kind).silent else kind,
        body="" if revoked else body,
        ack=Ack(info.status - 1) if info.status and from_me else Ack.READ,
        has_media=is_media(kind),
        reply_to=reply_to,
        push_name=info.pushName,
        payload={
            "message": raw,
            "chat_address": chat,
            "sender_address": own_jid if from_me else author,
        },
        revoked_at=timestamp(info.revokeMessageTimestamp or info.messageTimestamp)
        if revoked
        else None,
    )


def _with_unread(messages: list[StoredMessage], unread: int) -> list[StoredMessage]:
    """Oldest first; of the received ones the newest `unread` are not read yet."""
    ordered = sorted(messages, key=lambda m: m.timestamp)
    for index in range(len(ordered) - 1, -1, -1):
        if unread <= 0:
            break
        message = ordered[index]
        if not message.from_me and message.kind != "reaction":
            ordered[index] = replace(message, ack=Ack.DEVICE)
            unread -= 1
    return ordered


def _group(conversation: Any, chat: str) -> tuple[GroupEvent, ...]:
    if not chat.endswith("@g.us"):
        return ()
    members = {_jid(p.userJID): _ROLES.get(p.rank, "participant") for p in conversation.participant}
    return (
        GroupEvent(
            jid=chat,
            # What a live notification says is newer.
            at=timestamp(conversation.createdAt or 0),
            subject=conversation.name or None,
            description=conversation.description or None,
            members=members or None,
        ),
    )


def _pair(conversation: Any) -> tuple[str, str] | None:
    chat = _jid(conversation.ID)
    if chat.endswith("@lid") and conversation.pnJID:
        return chat, conversation.pnJID
    if chat.endswith("@s.whatsapp.net") and conversation.lidJID:
        return conversation.lidJID, chat
    return None


def _is_person(chat: str) -> bool:
    return chat.endswith(("@s.whatsapp.net", "@lid"))


def _jid(text: str) -> str:
    """Without the device; `c.us` is the old name of `s.whatsapp.net`."""
    return bare_jid(text).replace("@c.us", "@s.whatsapp.net")


def _slices(items: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
