"""What a caller accepted for sending (JSON in the outbox), turned into a protobuf message. Pure.

A content is a dict with a `kind`; each kind has one builder here. The same content always builds
the same message, so that a successor can finish what its predecessor accepted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import (
    ContextInfo,
    ExtendedTextMessage,
    Message,
)

from cluster.domain.errors import Invalid

__all__ = ["build_message"]


def build_message(content: dict[str, Any]) -> Message:
    """Build the message of `content["kind"]`. Raises `Invalid` for an unknown kind."""
    builder = _BUILDERS.get(str(content.get("kind")))
    if builder is None:
        raise Invalid(f"unknown kind of message: {content.get('kind')!r}", field="kind")
    return builder(content)


def _context(content: dict[str, Any]) -> ContextInfo | None:
    mentions = [str(m) for m in content.get("mentions", ())]
    quoted = content.get("quoted")
    if not mentions and not quoted:
        return None
    context = ContextInfo(mentionedJID=mentions)
    if quoted:
        context.stanzaID = quoted["id"]
        context.participant = quoted["sender"]
        context.quotedMessage.CopyFrom(Message(conversation=quoted.get("body", "")))
    return context


def _text(content: dict[str, Any]) -> Message:
    text = str(content["text"])
    context = _context(content)
    preview = content.get("preview") or {}
    if context is None and not preview:
        return Message(conversation=text)
    extended = ExtendedTextMessage(text=text)
    if context is not None:
        extended.contextInfo.CopyFrom(context)
    if preview:
        extended.matchedText = preview.get("url", "")
        extended.title = preview.get("title", "")
        extended.description = preview.get("description", "")
    return Message(extendedTextMessage=extended)


_BUILDERS: dict[str, Callable[[dict[str, Any]], Message]] = {"text": _text}
