"""Bodies for the virtual phones of the sandbox; what it answers is passed on as it is."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from api.models import WahaModel

__all__ = ["NewPhone", "PhoneCode", "PhoneMessage", "PhoneRead", "PhoneScan", "PhoneTyping"]

_MessageId = Annotated[str, StringConstraints(max_length=256)]


class NewPhone(WahaModel):
    number: str = Field(pattern=r"^\+?[0-9]{5,20}$", examples=["4915100000001"])
    name: str = Field("", max_length=100, description="Push name.")


class PhoneScan(WahaModel):
    qr: str = Field(min_length=1, max_length=4096, description="What the QR code encodes.")


class PhoneCode(WahaModel):
    code: str = Field(pattern=r"^[A-Za-z0-9]{4}-?[A-Za-z0-9]{4}$", examples=["ABCD-EFGH"])


class PhoneMessage(WahaModel):
    to: str = Field(max_length=128, description="Number or chat id.", examples=["4915100000002"])
    text: str = Field("", max_length=65_536, description="The text, or the caption of a file.")
    media: Literal["", "image", "video", "audio", "document", "sticker"] = ""
    data: str = Field("", description="The file, base64.")
    mimetype: str = Field("application/octet-stream", max_length=255)
    filename: str = Field("", max_length=255)


class PhoneRead(WahaModel):
    message_ids: list[_MessageId] = Field(min_length=1, max_length=1000, examples=[["3EB0AAAA"]])


class PhoneTyping(WahaModel):
    to: str = Field(max_length=128, examples=["4915100000002"])
    state: Literal["composing", "paused"] = "composing"
