"""Forwarded messages: the same protobuf again, marked as forwarded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.json_format import ParseDict
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import ExtendedTextMessage, Message

__all__ = ["BUILDERS"]


def _forward(content: dict[str, Any]) -> Message:
    """`message`: the original, as JSON of the protobuf. Attachments are not uploaded again: the
    keys in the message are good for whoever gets it."""
    message = ParseDict(content["message"], Message(), ignore_unknown_fields=True)
    message.ClearField("messageContextInfo")
    if message.HasField("conversation"):
        plain = message.conversation
        message = Message(extendedTextMessage=ExtendedTextMessage(text=plain))
    for field, part in message.ListFields():
        if field.message_type is None or "contextInfo" not in field.message_type.fields_by_name:
            continue
        score = part.contextInfo.forwardingScore + 1
        part.ClearField("contextInfo")
        part.contextInfo.isForwarded = True
        part.contextInfo.forwardingScore = score
    return message


BUILDERS: dict[str, Callable[[dict[str, Any]], Message]] = {"forward": _forward}
