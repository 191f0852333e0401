"""Encrypted attachments, as they were uploaded: bytes by path."""

from __future__ import annotations

import hashlib
import secrets
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

    def expire(self, path: str) -> bool:
        """The media server forgets a blob, which phones still have; False when there is none."""
        blob = self.get(path)
        if blob is None:
            return False
        self.put(_kept(path), blob)
        if self._folder is None:
            del self._blobs[path]
        else:
            (self._folder / _name(path)).unlink()
        return True

    def renew(self, path: str) -> str | None:
        """A phone uploads again what it has; gives the new path, None when it has it no more."""
        blob = self.get(path) or self.get(_kept(path))
        if blob is None:
            return None
        fresh = f"{path}-{secrets.token_hex(4)}"
        self.put(fresh, blob)
        return fresh

    def get(self, path: str) -> bytes | None:
        if self._folder is None:
            return self._blobs.get(path)
        file = self._folder / _name(path)
        return file.read_bytes() if file.exists() else None


def _kept(path: str) -> str:
    return f"{path} of the phone"


def _name(path: str) -> str:
    # A path comes from a client: it names a file here, but never chooses one.
    return hashlib.sha256(path.encode()).hexdigest()
