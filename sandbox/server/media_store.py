"""Encrypted attachments, as they were uploaded: bytes by path."""

from __future__ import annotations

import hashlib
from pathlib import Path

__all__ = ["MediaStore"]


class MediaStore:
    """Blobs in files, or in memory."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._blobs: dict[str, bytes] = {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def put(self, path: str, blob: bytes) -> None:
        """Keep a blob; `path` begins with a slash and has no query."""
        if self._folder is None:
            self._blobs[path] = blob
        else:
            (self._folder / _name(path)).write_bytes(blob)

    def get(self, path: str) -> bytes | None:
        if self._folder is None:
            return self._blobs.get(path)
        file = self._folder / _name(path)
        return file.read_bytes() if file.exists() else None


def _name(path: str) -> str:
    # A path comes from a client: it names a file here, but never chooses one.
    return hashlib.sha256(path.encode()).hexdigest()
