"""Bytes from one connection into another, both ways, until either ends."""

from __future__ import annotations

import asyncio
import contextlib

__all__ = ["join"]

_CHUNK = 1 << 16
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def join(near: Ends, far: Ends) -> None:
    """Pipe both ways."""
    await asyncio.gather(_pipe(near[0], far[1]), _pipe(far[0], near[1]))


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    writer.close()
