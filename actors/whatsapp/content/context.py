"""Mentions, quotes and forwards: the context that most kinds of messages can carry."""

from __future__ import annotations

from typing import Any

from google.protobuf.json_format import ParseDict
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import (
    ContextInfo,
    ExtendedTextMessage,
    Message,
)

from cluster.domain.content import Quotation, Quoting, Timer

__all__ = ["as_forwarded", "context_of", "score_of", "with_context", "with_timer"]


def context_of(content: Quoting) -> ContextInfo | None:
    """The context that `mentions` and `quoted` ask for; None when there is none."""
    mentions = [str(m) for m in content.get("mentions", ())]
    quoted = content.get("quoted")
    if not mentions and not quoted:
        return None
    context = ContextInfo(mentionedJID=mentions)
    if quoted:
        context.stanzaID = quoted["id"]
        context.participant = quoted["sender"]
        context.quotedMessage.CopyFrom(_quoted_message(quoted))
    return context


def with_context(part: Any, content: Quoting) -> Any:
    """Put the context into a message part that has `contextInfo`; returns the part."""
    context = context_of(content)
    if context is not None:
        part.contextInfo.CopyFrom(context)
    return part


def with_timer(message: Message, timer: Timer | None) -> Message:
    """Let it disappear as its chat wants it: `seconds`, and when that was set (Unix seconds). What
    is about another message has no context, and needs none."""
    if not timer:
        return message
    for part in _parts(message):
        part.contextInfo.expiration = int(timer["seconds"])
        part.contextInfo.ephemeralSettingTimestamp = int(timer["set_at"])
    return message


def as_forwarded(message: Message, score: int) -> Message:
    """Marked as forwarded, for the `score`th time; without what it answered and whom it named."""
    for part in _parts(message):
        part.ClearField("contextInfo")
        part.contextInfo.isForwarded = True
        part.contextInfo.forwardingScore = score
    return message


def score_of(message: Message) -> int:
    """How often it was forwarded."""
    return max((part.contextInfo.forwardingScore for part in _parts(message)), default=0)


def _parts(message: Message) -> list[Any]:
    """What of it can have a context. A plain text becomes one that can."""
    if message.HasField("conversation"):
        plain = message.conversation
        message.extendedTextMessage.CopyFrom(ExtendedTextMessage(text=plain))
        message.ClearField("conversation")
    wrapped = message.HasField("documentWithCaptionMessage")
    inner = message.documentWithCaptionMessage.message if wrapped else message
    return [
        part
        for field, part in inner.ListFields()
        if field.message_type is not None and "contextInfo" in field.message_type.fields_by_name
    ]


def _quoted_message(quoted: Quotation) -> Message:
    if message := quoted.get("_message"):
        return ParseDict(message, Message(), ignore_unknown_fields=True)
    return Message(conversation=str(quoted.get("body", "")))
