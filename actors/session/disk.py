"""Whether a node's disk still takes what its sessions must write."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from actors.ticks import until_tick

__all__ = ["FullDisk", "nearly_full"]

#: Seconds between looks for those who wait.
_POLL_SECONDS = 1.0


def nearly_full(folder: Path, least: int) -> bool:
    """True when fewer than `least` bytes are free where `folder` is, or will be: the first
    session of a node makes it."""
    found = os.statvfs(next(place for place in (folder, *folder.parents) if place.exists()))
    return found.f_bavail * found.f_frsize < least


class FullDisk:
    """One look at a disk for all sessions of a process that want to know."""

    def __init__(self, folder: Path, least: int) -> None:
        """See `nearly_full`."""
        self._folder = folder
        self._least = least
        self._seen_at = float("-inf")
        self._full = False
        self._turn = asyncio.Lock()
        self._watch: asyncio.Task[None] | None = None
        self._waiting = 0

    async def seen(self, within: float) -> bool:
        """Whether it was nearly full, at some moment of the last `within` seconds."""
        async with self._turn:
            if time.monotonic() - self._seen_at > within:
                self._full = await asyncio.to_thread(nearly_full, self._folder, self._least)
                self._seen_at = time.monotonic()
            return self._full

    async def becomes_full(self) -> None:
        """Return when it is nearly full. However many wait, there is one look a second; what it
        raises (`OSError`) is raised to all."""
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._poll(), name="disk")
        self._waiting += 1
        try:
            await asyncio.shield(self._watch)
        finally:
            self._waiting -= 1

    async def _poll(self) -> None:
        """Until it is full, or nobody waits any more."""
        while self._waiting:
            if await self.seen(within=_POLL_SECONDS / 2):
                return
            await asyncio.sleep(until_tick(_POLL_SECONDS))
