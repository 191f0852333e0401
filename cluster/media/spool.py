"""Bytes that stream in, kept in a file: memory stays flat whatever their size."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from cluster.domain.errors import BodyTooLarge

__all__ = ["LocalFile", "Spool", "SpoolWriter"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalFile:
    """A complete file in a spool."""

    path: Path
    #: bytes
    size: int
    #: hex
    sha256: str
    #: As its sender calls it; empty when nobody does.
    mimetype: str = ""
    filename: str = ""


class Spool:
    """A temporary folder for one request's files; removed at the end of the `async with`."""

    def __init__(self, limit: int) -> None:
        """`limit`: bytes of a file."""
        self._limit = limit
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    async def __aenter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="media-")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._folder is not None:
            await asyncio.to_thread(self._folder.cleanup)

    def path(self, name: str) -> Path:
        """Where a file of this name is or will be."""
        if self._folder is None:
            raise RuntimeError("the spool is not open")
        return Path(self._folder.name) / name

    async def take(
        self, name: str, parts: AsyncIterable[bytes], *, mimetype: str = "", filename: str = ""
    ) -> LocalFile:
        """Write what streams in. Raises `BodyTooLarge`, and what `parts` raises."""
        writer = self.writer(name, mimetype=mimetype, filename=filename)
        try:
            async for part in parts:
                # Into the page cache: quicker than a thread would be, and what is not taken up
                # here piles up in the server's proxy.
                writer.write(part)
        finally:
            file = writer.done()
        return file

    def writer(self, name: str, *, mimetype: str = "", filename: str = "") -> SpoolWriter:
        """Where a new file is written part by part."""
        return SpoolWriter(self.path(name), self._limit, mimetype, filename)


class SpoolWriter:
    """A file of a spool that comes in parts."""

    def __init__(self, path: Path, limit: int, mimetype: str, filename: str) -> None:
        self._path = path
        self._limit = limit
        self._names = (mimetype, filename)
        self._size = 0
        self._digest = hashlib.sha256()
        self._file = path.open("xb")

    def write(self, part: bytes) -> None:
        """Raises `BodyTooLarge`."""
        self._size += len(part)
        if self._size > self._limit:
            raise BodyTooLarge(
                f"the file exceeds {self._limit} bytes", limit=self._limit, field="file"
            )
        self._digest.update(part)
        self._file.write(part)

    def done(self) -> LocalFile:
        """Close it, whole or not."""
        self._file.close()
        return LocalFile(
            path=self._path,
            size=self._size,
            sha256=self._digest.hexdigest(),
            mimetype=self._names[0],
            filename=self._names[1],
        )
