"""Small answers that many groups share."""

from __future__ import annotations

from pydantic import Field

from api.models import WahaModel

__all__ = ["Count", "PictureUrl", "Result"]


class Result(WahaModel):
    success: bool = True


class Count(WahaModel):
    count: int


class PictureUrl(WahaModel):
    """A picture's place at WhatsApp, good for some days."""

    url: str | None = Field(
        None,
        description="Null when there is no picture, or it is not to be seen.",
        examples=["https://pps.whatsapp.net/v/t61.24694-24/picture.jpg"],
    )
