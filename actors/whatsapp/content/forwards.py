"""Forwarded messages: the same protobuf again, marked as forwarded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.json_format import ParseDict
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import FutureProofMessage, Message

from actors.whatsapp.content.context import as_forwarded, score_of
from cluster.domain.content import Forward
from cluster.domain.wire_message import main_part

__all__ = ["BUILDERS"]


def _forward(content: Forward) -> Message:
    """`message`: the original, as JSON of the protobuf. Attachments are not uploaded again: the
    keys in the message are good for whoever gets it."""
    name, part = main_part(content["message"])
    message = ParseDict({name: part}, Message(), ignore_unknown_fields=True)
    as_forwarded(message, score_of(message) + 1)
    if message.documentMessage.caption:
        # Clients show the caption of a document only in this wrapping.
        return Message(documentWithCaptionMessage=FutureProofMessage(message=message))
    return message


BUILDERS: dict[str, Callable[[Any], Message]] = {"forward": _forward}
