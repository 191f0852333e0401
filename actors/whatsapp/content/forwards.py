"""Forwarded messages: the same protobuf again, marked as forwarded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.json_format import ParseDict
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import FutureProofMessage, Message

from cluster.domain.wire_message import main_part

__all__ = ["BUILDERS"]


def _forward(content: dict[str, Any]) -> Message:
    """`message`: the original, as JSON of the protobuf. Attachments are not uploaded again: the
    keys in the message are good for whoever gets it."""
    name, part = main_part(content["message"])
    if name == "conversation":
        name, part = "extendedTextMessage", {"text": part}
    message = ParseDict({name: part}, Message(), ignore_unknown_fields=True)
    for field, sent in message.ListFields():
        if field.message_type is None or "contextInfo" not in field.message_type.fields_by_name:
            continue
        score = sent.contextInfo.forwardingScore + 1
        sent.ClearField("contextInfo")
        sent.contextInfo.isForwarded = True
        sent.contextInfo.forwardingScore = score
    if message.documentMessage.caption:
        # Clients show the caption of a document only in this wrapping.
        return Message(documentWithCaptionMessage=FutureProofMessage(message=message))
    return message


BUILDERS: dict[str, Callable[[dict[str, Any]], Message]] = {"forward": _forward}
