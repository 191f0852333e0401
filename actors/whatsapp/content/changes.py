"""Messages about other messages: reactions, edits, deletions, pins.

`key` names the other message: `id`, `from_me`, and in groups `sender`, all in the protocol's terms
(whatsmeow: message.go and send.go, BuildMessageKey, BuildEdit, BuildRevoke).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from neonize.proto.waCommon.WACommon_pb2 import MessageKey
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import (
    DocumentMessage,
    FutureProofMessage,
    ImageMessage,
    Message,
    MessageContextInfo,
    PinInChatMessage,
    ProtocolMessage,
    ReactionMessage,
    VideoMessage,
)

from actors.whatsapp.content.context import with_context
from actors.whatsapp.content.texts import text
from cluster.domain import message_ref
from cluster.domain.content import Edit, Pin, Reaction, Revoke

__all__ = ["BUILDERS", "message_key"]


def message_key(key: message_ref.MessageKey) -> MessageKey:
    """The protocol's name of a message: chat, id, and who wrote it."""
    named = MessageKey(remoteJID=key.chat, fromMe=key.from_me, ID=key.id)
    if key.chat.endswith(("@g.us", "@broadcast")) and not key.from_me and key.sender:
        named.participant = key.sender
    return named


def _key_in(content: Reaction | Edit | Revoke | Pin) -> MessageKey:
    return message_key(message_ref.MessageKey.of_json(content["key"]))


def _now() -> int:
    return int(time.time() * 1000)


def _reaction(content: Reaction) -> Message:
    """`text`: the emoji; empty takes the reaction back."""
    return Message(
        reactionMessage=ReactionMessage(
            key=_key_in(content), text=str(content["text"]), senderTimestampMS=_now()
        )
    )


def _edit(content: Edit) -> Message:
    """`text`; `edits`: the kind of file whose caption it is, missing for a text."""
    change = ProtocolMessage(
        key=_key_in(content),
        type=ProtocolMessage.MESSAGE_EDIT,
        editedMessage=_edited(content),
        timestampMS=_now(),
    )
    return Message(editedMessage=FutureProofMessage(message=Message(protocolMessage=change)))


def _edited(content: Edit) -> Message:
    """What is edited stays what it is: clients take the new caption of a file from a message of
    the file's kind, and a document's from its wrapping."""
    caption = str(content["text"])
    match content.get("edits"):
        case "image":
            return Message(imageMessage=with_context(ImageMessage(caption=caption), content))
        case "video":
            return Message(videoMessage=with_context(VideoMessage(caption=caption), content))
        case "document":
            part = with_context(DocumentMessage(caption=caption), content)
            inner = Message(documentMessage=part)
            return Message(documentWithCaptionMessage=FutureProofMessage(message=inner))
        case _:
            return text(content)


def _revoke(content: Revoke) -> Message:
    return Message(
        protocolMessage=ProtocolMessage(key=_key_in(content), type=ProtocolMessage.REVOKE)
    )


def _pin(content: Pin) -> Message:
    """`seconds`: how long it stays pinned; 0 takes the pin away."""
    seconds = int(content["seconds"])
    kind = PinInChatMessage.PIN_FOR_ALL if seconds else PinInChatMessage.UNPIN_FOR_ALL
    message = Message(
        pinInChatMessage=PinInChatMessage(key=_key_in(content), type=kind, senderTimestampMS=_now())
    )
    if seconds:
        message.messageContextInfo.CopyFrom(MessageContextInfo(messageAddOnDurationInSecs=seconds))
    return message


BUILDERS: dict[str, Callable[[Any], Message]] = {
    "reaction": _reaction,
    "edit": _edit,
    "revoke": _revoke,
    "pin": _pin,
}
