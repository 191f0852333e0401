"""Files in bodies: by URL, as base64, or in a form."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from api.file_route import file_behind
from api.models import WahaModel
from client.workshop import Attachment

__all__ = ["FileBody", "attachment", "given"]


class FileBody(WahaModel):
    """WAHA's RemoteFile (`url`) or BinaryFile (`data`)."""

    mimetype: str | None = Field(None, max_length=255, examples=["image/jpeg"])
    filename: str | None = Field(None, max_length=255, examples=["filename.jpg"])
    url: str | None = Field(
        None,
        max_length=4096,
        description="http, https, or `upload:<sha256>` of a file uploaded before.",
        examples=["https://github.com/devlikeapro/waha/raw/core/examples/waha.jpg"],
    )
    data: str | None = Field(None, description="Base64.")

    @model_validator(mode="after")
    def _either(self) -> Self:
        if bool(self.url) == bool(self.data):
            raise ValueError("give either url or data")
        return self


def attachment(file: FileBody) -> Attachment:
    return given(file.url, file.data, file.mimetype or "", file.filename or "")


def given(url: str | None, data: str | None, mimetype: str = "", filename: str = "") -> Attachment:
    """`data`: base64, or what stands for a file that came with the request."""
    local = file_behind(data) if data else None
    return Attachment(
        url=url or "",
        base64="" if local else data or "",
        local=local,
        mimetype=mimetype,
        filename=filename,
    )
