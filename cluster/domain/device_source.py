"""A linked device as it is brought from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["DeviceSource", "SourceKind"]


class SourceKind(StrEnum):
    """What it was kept in."""

    #: What `export` of a gateway made.
    ARCHIVE = "archive"
    #: SQLite store of whatsmeow or neonize.
    WHATSMEOW = "whatsmeow"
    #: Folder of Baileys' `useMultiFileAuthState`.
    BAILEYS = "baileys"


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceSource:
    """All of it, as it came. Holds secrets: neither logged nor shown."""

    kind: SourceKind
    #: The archive, or the SQLite file.
    data: bytes = field(default=b"", repr=False)
    #: Parsed files of the folder, by name.
    files: dict[str, Any] = field(default_factory=dict, repr=False)
    #: Of an archive, one of the two. `key`: base64 of 32 bytes.
    passphrase: str | None = field(default=None, repr=False)
    key: str | None = field(default=None, repr=False)
    #: Which device of the store, `4915100001:3@s.whatsapp.net`; empty: the only one.
    device: str = ""
