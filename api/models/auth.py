"""Bodies of the auth group."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from api.models import WahaModel

__all__ = ["Base64File", "PairingCode", "QrFormat", "QrValue", "RequestCodeRequest"]


class QrFormat(StrEnum):
    IMAGE = "image"
    RAW = "raw"


class Base64File(WahaModel):
    mimetype: str = Field(examples=["image/png"])
    data: str = Field(description="Base64")


class QrValue(WahaModel):
    value: str = Field(description="What the QR image encodes.")


class RequestCodeRequest(WahaModel):
    phoneNumber: str = Field(
        min_length=1,
        max_length=64,
        description="Mobile phone number in international format",
        examples=["12132132130"],
    )
    method: str | None = Field(None, description="Leave empty: pairing of a linked device.")


class PairingCode(WahaModel):
    code: str = Field(examples=["ABCD-EFGH"])
