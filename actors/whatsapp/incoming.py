"""What the library says of a message, turned into the gateway's own terms. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from google.protobuf.json_format import MessageToDict
from neonize.proto.Neonize_pb2 import JID, MessageSource
from neonize.proto.Neonize_pb2 import Message as MessageEvent
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message

from actors.whatsapp.jids import to_text
from cluster.domain.message import Ack, StoredMessage
from cluster.domain.wire_message import context_of, kind_and_text, main_part, part_of

__all__ = ["as_json", "describe", "is_media", "stored_message", "timestamp"]

_MEDIA = {"image", "video", "audio", "document", "sticker"}
#: Kinds that are about another message -> where its key is.
_KEYS = {
    "protocol": "key",
    "reaction": "key",
    "pin": "key",
    "poll_vote": "pollCreationMessageKey",
    "event_response": "eventCreationMessageKey",
}
#: ProtocolMessage.Type, waE2E.proto; the first is what a message without one means.
_CHANGES = {"REVOKE": "revoke", "MESSAGE_EDIT": "edit"}
#: What WAHA's clients for GOWS find under `_data.Info` beyond whom and when (whatsmeow types,
#: MessageInfo).
_INFO = ("ServerID", "Type", "Category", "Multicast", "MediaType", "Edit")


def timestamp(value: int) -> datetime:
    """The library has some times in seconds, some in milliseconds or nanoseconds."""
    seconds = max(0.0, float(value))
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
    raw = as_json(event.Message)
    kind, body, reply_to = describe(raw)
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
            "message": raw,
            "chat_address": to_text(source.Chat),
            "sender_address": to_text(source.Sender, device=True),
            "info": _info(event),
        },
    )


def describe(raw: dict[str, Any]) -> tuple[str, str, str]:
    """(kind, text or caption, id of the message that it quotes or is about) of a message."""
    kind, body = kind_and_text(raw)
    if kind not in _KEYS:
        return kind, body, str(context_of(raw).get("stanzaID") or "")
    part = main_part(raw)[1]
    about = str(part_of(part, _KEYS[kind]).get("ID") or "")
    if kind == "protocol":
        kind = _CHANGES.get(str(part_of(part).get("type", "REVOKE")), kind)
    return kind, body, about


def _info(event: MessageEvent) -> dict[str, Any]:
    """What is not in the message, as whatsmeow's JSON names it."""
    info, source = event.Info, event.Info.MessageSource
    fields = {name: getattr(info, name) for name in _INFO}
    mode = type(source).DESCRIPTOR.fields_by_name["AddressingMode"].enum_type
    if source.HasField("AddressingMode"):
        fields["AddressingMode"] = mode.values_by_number[source.AddressingMode].name.lower()
    for name in ("SenderAlt", "RecipientAlt"):
        fields[name] = to_text(getattr(source, name), device=True)
    return {name: value for name, value in fields.items() if value}


def is_media(kind: str) -> bool:
    """Whether messages of this kind have a file."""
    return kind in _MEDIA


def as_json(message: Message) -> dict[str, Any]:
    return dict(MessageToDict(message))
