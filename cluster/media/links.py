"""Which file a message of the history carries, and the path where callers get it."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from cluster.domain.message import StoredMessage
from cluster.domain.wire_message import FILES, file_part, raw_of
from cluster.media.file_types import ending_of
from cluster.media.media_types import safe_media_type

__all__ = ["MessageFile", "file_of", "file_url", "files_url", "object_key"]

#: Characters of a file's name.
_NAME = 255


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageFile:
    """The file of a message."""

    mimetype: str
    #: Empty when the sender gave none.
    filename: str
    #: SHA-256 of the content, hex.
    sha256: str
    #: bytes; 0 when it is unknown
    size: int
    #: Where it is on WhatsApp's media servers, for received ones: the message's own part.
    part: dict[str, Any] | None = None
    #: `image`, `video`, `audio` or `document`
    kind: str = "document"

    @property
    def ending(self) -> str:
        """`.jpeg`, or empty for an unknown type."""
        return ending_of(self.mimetype)


def file_of(message: StoredMessage) -> MessageFile | None:
    """The file of a message; None when it has none that can be got, or was deleted."""
    if message.revoked_at is not None:
        return None
    content = message.payload.get("content")
    if isinstance(content, dict) and isinstance(content.get("file"), dict):
        file = content["file"]
        return MessageFile(
            mimetype=str(file.get("mimetype") or ""),
            filename=str(file.get("filename") or ""),
            sha256=str(file.get("_object") or "").rpartition("/")[2],
            size=int(file.get("_size") or 0),
        )
    raw = raw_of(message.payload)
    found = file_part(raw) if raw is not None else None
    if found is None:
        return None
    name, part = found
    try:
        digest = base64.b64decode(part.get("fileSHA256") or "").hex()
    except binascii.Error:
        return None
    if not digest or not part.get("directPath"):
        return None
    mimetype = str(part.get("mimetype") or "")
    return MessageFile(
        mimetype=safe_media_type(mimetype) if mimetype else "",
        filename=_name(str(part.get("fileName") or "")),
        sha256=digest,
        size=int(part.get("fileLength") or 0),
        part=part,
        kind=FILES[name],
    )


def _name(name: str) -> str:
    """A stranger's name of a file: whoever saves it under that leaves no folder."""
    return "".join("_" if c in "/\\" else c for c in name if c.isprintable())[:_NAME]


def files_url(base: str, session: str) -> str:
    """Where the files of a session are; `base`: how callers reach the gateway."""
    return f"{base.rstrip('/')}/api/files/{session}"


def file_url(files: str, waha_message_id: str, file: MessageFile) -> str:
    """`…/{message id}.jpeg` under the URL of the session's files."""
    return f"{files}/{quote(waha_message_id, safe='@')}{file.ending}"


def object_key(session_id: int, sha256: str) -> str:
    """Where a session's file is in the object store: by content, so that each is stored once."""
    return f"media/{session_id}/{sha256}"
