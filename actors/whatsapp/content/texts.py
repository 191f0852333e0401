"""Texts: plain, with mentions, replies and link previews, and as a status."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import ExtendedTextMessage, Message

from actors.whatsapp.content.context import context_of
from cluster.domain.content import Edit, Text

__all__ = ["BUILDERS", "extended_text", "text"]


def text(content: Text | Edit) -> Message:
    """`text`, and optionally `mentions`, `quoted`, `_preview`, `background`, `font`."""
    plain = not any(content.get(k) for k in ("_preview", "preview", "background", "font"))
    if plain and context_of(content) is None:
        return Message(conversation=str(content["text"]))
    return Message(extendedTextMessage=extended_text(content))


def extended_text(content: Text | Edit) -> ExtendedTextMessage:
    extended = ExtendedTextMessage(text=str(content["text"]))
    if (context := context_of(content)) is not None:
        extended.contextInfo.CopyFrom(context)
    if background := content.get("background"):
        extended.backgroundArgb = int(background)
        extended.textArgb = 0xFFFFFFFF
    if font := content.get("font"):
        extended.font = int(font)
    preview: Mapping[str, Any] | None = content.get("preview") or content.get("_preview")
    if preview:
        extended.matchedText = preview.get("url", "")
        extended.title = preview.get("title", "")
        extended.description = preview.get("description", "")
        extended.previewType = ExtendedTextMessage.NONE
        if thumbnail := content.get("_thumbnail"):
            extended.JPEGThumbnail = base64.b64decode(thumbnail)
    return extended


BUILDERS: dict[str, Callable[[Any], Message]] = {"text": text}
