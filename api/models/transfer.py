"""Bodies of the moving of devices from and to other gateways."""

from __future__ import annotations

import base64
from typing import Any

from pydantic import Field

from api.models import WahaModel
from api.params import SessionName
from cluster.domain.device_source import DeviceSource, SourceKind
from cluster.domain.errors import Invalid
from cluster.domain.session_config import SessionConfig

__all__ = ["ExportRequest", "ImportRequest"]

_PASSPHRASE = Field(None, description="At least 12 characters; or give a `key`.", max_length=1024)
_KEY = Field(None, description="base64 of 32 bytes, in place of a passphrase.", max_length=64)


class ExportRequest(WahaModel):
    """What locks the archive: one of the two."""

    passphrase: str | None = _PASSPHRASE
    key: str | None = _KEY


class ImportRequest(WahaModel):
    """A device that was linked elsewhere, where it must not run any more."""

    name: SessionName = Field(description="Name of the session to make", examples=["default"])
    source: SourceKind = Field(
        description="`archive`: of a gateway's export; `whatsmeow`: SQLite store of whatsmeow or "
        "neonize; `baileys`: auth folder"
    )
    data: str | None = Field(None, description="The archive or the SQLite file, base64.")
    files: dict[str, Any] | None = Field(
        None,
        description="Of the auth folder: the files' JSON by name (`creds.json`, `pre-key-1.json`).",
        examples=[{"creds.json": {}}],
    )
    passphrase: str | None = _PASSPHRASE
    key: str | None = _KEY
    device: str | None = Field(
        None,
        description="Which device of a SQLite store; needed where it has several.",
        examples=["4915100000001:3@s.whatsapp.net"],
        max_length=64,
    )
    config: SessionConfig | None = Field(None, description="In place of an archive's own.")
    start: bool = Field(True, description="Start the session at once.")

    def as_source(self) -> DeviceSource:
        """Raises `Invalid` when the content is not there or not base64."""
        if self.source is SourceKind.BAILEYS:
            if not self.files:
                raise Invalid("files is missing", field="files")
            return DeviceSource(kind=self.source, files=self.files)
        try:
            data = base64.b64decode(self.data or "", validate=True)
        except ValueError as error:
            raise Invalid("data is not base64", field="data") from error
        if not data:
            raise Invalid("data is missing", field="data")
        return DeviceSource(
            kind=self.source,
            data=data,
            passphrase=self.passphrase,
            key=self.key,
            device=self.device or "",
        )
