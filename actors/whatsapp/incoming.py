"""What the library tells of a message, turned into the gateway's own terms. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from google.protobuf.json_format import MessageToDict
from neonize.proto.Neonize_pb2 import JID, MessageSource
from neonize.proto.Neonize_pb2 import Message as MessageEvent
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message

from actors.whatsapp.jids import to_text
from cluster.domain.message import Ack, StoredMessage

__all__ = ["as_json", "describe", "is_media", "stored_message", "timestamp"]

#: Field of the protobuf message -> the kind the gateway tells.
_KINDS = {
    "conversation": "text",
    "extendedTextMessage": "text",
    "imageMessage": "image",
    "videoMessage": "video",
    "ptvMessage": "video",
    "audioMessage": "audio",
    "documentMessage": "document",
    "stickerMessage": "sticker",
    "locationMessage": "location",
    "liveLocationMessage": "location",
    "contactMessage": "contact",
    "contactsArrayMessage": "contact",
    "reactionMessage": "reaction",
    "pollCreationMessage": "poll",
    "pollCreationMessageV2": "poll",
    "pollCreationMessageV3": "poll",
    "pollUpdateMessage": "poll_vote",
    "eventMessage": "event",
    "listMessage": "list",
    "buttonsMessage": "buttons",
    "listResponseMessage": "list_response",
    "buttonsResponseMessage": "buttons_response",
    "groupInviteMessage": "group_invite",
    "protocolMessage": "protocol",
    "senderKeyDistributionMessage": "sender_key",
    "pinInChatMessage": "pin",
    "editedMessage": "edit",
}
_MEDIA = {"image", "video", "audio", "document", "sticker"}
_QUIET = {"messageContextInfo", "senderKeyDistributionMessage"}
#: ProtocolMessage.Type, waE2E.proto
_REVOKE, _EDIT = 0, 14


def timestamp(value: int) -> datetime:
    """The library tells some times in seconds, some in milliseconds or nanoseconds."""
    seconds = float(value)
    while seconds > 1e11:
        seconds /= 1000
    return datetime.fromtimestamp(seconds, UTC)


def person(primary: JID, alternative: JID) -> str:
    """Of the two addresses of a person the phone-number one, where it is known."""
    if primary.Server == "lid" and alternative.Server == "s.whatsapp.net":
        return to_text(alternative)
    return to_text(primary)


def chat_of(source: MessageSource) -> str:
    if source.Chat.Server != "lid":
        return to_text(source.Chat)
    alternative = source.RecipientAlt if source.IsFromMe else source.SenderAlt
    return person(source.Chat, alternative)


def stored_message(event: MessageEvent, own_jid: str) -> StoredMessage:
    """Turn a message event into a row of the history. `own_jid` is this account's bare JID."""
    info, source = event.Info, event.Info.MessageSource
    message = event.Message
    kind, body, reply_to = describe(message)
    return StoredMessage(
        message_id=info.ID,
        chat=chat_of(source),
        sender=own_jid if source.IsFromMe else person(source.Sender, source.SenderAlt),
        from_me=source.IsFromMe,
        timestamp=timestamp(info.Timestamp),
        kind=kind,
        body=body,
        ack=Ack.SERVER if source.IsFromMe else Ack.DEVICE,
        has_media=is_media(kind),
        reply_to=reply_to,
        push_name=info.Pushname,
        payload={
            "message": as_json(message),
            "chat_address": to_text(source.Chat),
            "sender_address": to_text(source.Sender, device=True),
        },
    )


def describe(message: Message) -> tuple[str, str, str]:
    """(kind, text or caption, id of the quoted message) of a protobuf message."""
    fields = [f.name for f, _ in message.ListFields() if f.name not in _QUIET]
    if not fields:
        return (
            ("sender_key" if message.HasField("senderKeyDistributionMessage") else "empty"),
            "",
            "",
        )
    name = fields[0]
    if name == "conversation":
        return "text", message.conversation, ""
    content = getattr(message, name)
    if name == "protocolMessage":
        kind = {_REVOKE: "revoke", _EDIT: "edit"}.get(content.type, "protocol")
        body = describe(content.editedMessage)[1] if kind == "edit" else ""
        return kind, body, content.key.ID
    if name == "pollUpdateMessage":
        return "poll_vote", "", content.pollCreationMessageKey.ID
    if name == "pinInChatMessage":
        return "pin", "", content.key.ID
    if name == "reactionMessage":
        return "reaction", content.text, content.key.ID
    nested = getattr(content, "message", None)
    if isinstance(nested, Message):
        # ephemeral, view once, document with caption, edited: the content is one level down
        return describe(nested)
    body = next(
        (v for v in (getattr(content, a, "") for a in ("text", "caption", "name", "title")) if v),
        "",
    )
    context = getattr(content, "contextInfo", None)
    return _KINDS.get(name, name), str(body), context.stanzaID if context is not None else ""


def is_media(kind: str) -> bool:
    """Whether messages of this kind have a file."""
    return kind in _MEDIA


def as_json(message: Message) -> dict[str, Any]:
    return dict(MessageToDict(message))
