"""Bodies of the media group."""

from __future__ import annotations

from pydantic import Field

from api.models import WahaModel

__all__ = ["ConvertRequest", "Uploaded"]


class ConvertRequest(WahaModel):
    """One of the two."""

    url: str | None = Field(None, max_length=4096)
    data: str | None = Field(None, description="Base64.")


class Uploaded(WahaModel):
    url: str = Field(
        description="To be given as `file.url` when sending.", examples=["upload:9f86d081884c7d65…"]
    )
    mimetype: str
    filename: str
    size: int = Field(description="Bytes.")
