"""What a phone sends a linked device of the past (whatsmeow: message.go, history sync). Pure."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.crypto.media import EncryptedMedia
from sandbox.crypto.protobuf import wa

__all__ = ["HistoryChat", "HistoryMessage", "notification", "packed", "sync"]

_STATUS_READ = 4
#: Field 1, a varint of 0.
_KIND_ZERO = b"\x08\x00"


@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryMessage:
    """One message of the past."""

    id: str
    #: `wa.Message`
    message: Any
    #: Unix seconds
    timestamp: int
    from_me: bool
    #: JID of its author, in groups
    participant: str = ""
    push_name: str = ""
    #: `wa.WebMessageInfo.Status`
    status: int = _STATUS_READ


@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryChat:
    """One chat with its messages."""

    #: JID
    id: str
    messages: Sequence[HistoryMessage]
    name: str = ""
    unread: int = 0
    archived: bool = False
    #: JID → 0 for a member, 1 for an admin, 2 for the creator
    members: Mapping[str, int] = field(default_factory=dict)
    created: int = 0


def sync(
    kind: str,
    chats: Sequence[HistoryChat],
    *,
    push_names: Mapping[str, str],
    pairs: Sequence[tuple[str, str]],
    nct_salt: bytes = b"",
) -> Any:
    """A `wa.HistorySync`. `kind`: INITIAL_BOOTSTRAP, RECENT …; `push_names`: JID → name; `pairs`:
    LID and phone-number JID of people; `nct_salt`: what privacy tokens are made with. Raises
    KeyError for an unknown kind."""
    blob = wa.HistorySync(
        syncType=wa.HistorySync.HistorySyncType.Value(kind), progress=100, chunkOrder=1
    )
    if nct_salt:
        # `nctSalt` (19): newer than the protobufs here.
        blob.MergeFromString(bytes([0x9A, 0x01, len(nct_salt)]) + nct_salt)
    for jid, name in push_names.items():
        blob.pushnames.add(id=jid, pushname=name)
    for lid, phone in pairs:
        blob.phoneNumberToLidMappings.add(lidJid=lid, pnJid=phone)
    for chat in chats:
        entry = blob.conversations.add(
            id=chat.id,
            name=chat.name,
            unreadCount=chat.unread,
            archived=chat.archived,
            createdAt=chat.created,
            conversationTimestamp=max((m.timestamp for m in chat.messages), default=0),
        )
        for jid, rank in chat.members.items():
            entry.participant.add(userJid=jid, rank=rank)
        # Newest first, as phones send them.
        for one in sorted(chat.messages, key=lambda m: -m.timestamp):
            info = entry.messages.add().message
            info.key.remoteJid, info.key.id, info.key.fromMe = chat.id, one.id, one.from_me
            if one.participant:
                info.key.participant = info.participant = one.participant
            info.message.CopyFrom(one.message)
            info.messageTimestamp, info.status = one.timestamp, one.status
            if one.push_name:
                info.pushName = one.push_name
    return blob


def packed(blob: Any) -> bytes:
    """As it travels, before it is encrypted."""
    # The kind is a required field, and generated code leaves out what is 0.
    kind = b"" if blob.syncType else _KIND_ZERO
    return zlib.compress(kind + blob.SerializeToString())


def notification(blob: Any, *, inline: bytes = b"", media: EncryptedMedia | None = None) -> Any:
    """The message to the linked device: with the blob itself, or where to fetch it."""
    notice = wa.Message.HistorySyncNotification(
        syncType=int(blob.syncType), chunkOrder=blob.chunkOrder, progress=blob.progress
    )
    if media is None:
        notice.initialHistBootstrapInlinePayload = inline
    else:
        notice.directPath = f"/v/{media.file_enc_sha256.hex()}?ccb=1"
        notice.mediaKey, notice.fileLength = media.media_key, media.file_length
        notice.fileSha256, notice.fileEncSha256 = media.file_sha256, media.file_enc_sha256
    return wa.Message(
        protocolMessage=wa.Message.ProtocolMessage(
            type=wa.Message.ProtocolMessage.HISTORY_SYNC_NOTIFICATION,
            historySyncNotification=notice,
        )
    )
