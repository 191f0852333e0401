"""Bodies of the status group."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from api.models import WahaModel
from api.models.chatting import CallerMessageId, Caption, MessageText
from api.models.files import FileBody

__all__ = ["DeleteStatus", "FileStatus", "TextStatus", "VideoStatus", "VoiceStatus"]

_Color = Annotated[str, StringConstraints(pattern=r"^#[0-9A-Fa-f]{6}$")]
_Contacts = Annotated[
    list[Annotated[str, StringConstraints(max_length=128)]] | None,
    Field(
        None,
        max_length=5000,
        description="Taken only when it is empty: WhatsApp's privacy settings decide who gets it.",
    ),
]


class _Status(WahaModel):
    id: CallerMessageId | None = None
    contacts: _Contacts = None


class TextStatus(_Status):
    text: MessageText
    backgroundColor: _Color = Field("#38b42f", examples=["#38b42f"])
    font: int = Field(0, ge=0, le=10)
    linkPreview: bool | None = True
    linkPreviewHighQuality: bool | None = False


class FileStatus(_Status):
    file: FileBody
    caption: Caption | None = None


class VoiceStatus(_Status):
    file: FileBody
    convert: bool = False
    backgroundColor: _Color = Field("#38b42f", examples=["#38b42f"])


class VideoStatus(_Status):
    file: FileBody
    caption: Caption | None = None
    convert: bool = False


class DeleteStatus(WahaModel):
    id: Annotated[str, StringConstraints(max_length=256)]
    contacts: _Contacts = None
