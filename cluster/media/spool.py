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

__all__ = ["LocalFile", "Spool"]


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
        path, size, digest = self.path(name), 0, hashlib.sha256()
        with path.open("xb") as file:
            async for part in parts:
                size += len(part)
                if size > self._limit:
                    raise BodyTooLarge(
                        f"the file exceeds {self._limit} bytes", limit=self._limit, field="file"
                    )
                digest.update(part)
                # Into the page cache: quicker than a thread would be, and what is not taken up
                # here piles up in the server's proxy.
                file.write(part)
        return LocalFile(
            path=path, size=size, sha256=digest.hexdigest(), mimetype=mimetype, filename=filename
        )
