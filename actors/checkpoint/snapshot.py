"""A consistent copy of the live device store."""

from __future__ import annotations

import asyncio
from pathlib import Path

from actors.checkpoint.store_process import StoreProcesses

__all__ = ["Snapshotter", "take_snapshot"]


class Snapshotter:
    """Copies one store again and again, one copy at a time."""

    def __init__(self) -> None:
        self._processes: StoreProcesses | None = None

    async def take(self, live: Path, scratch: Path) -> bytes:
        """The bytes of the database as of one commit. Raises `Unavailable` when it cannot be
        copied. `scratch`: a file of the caller's, overwritten and removed."""
        if self._processes is None:
            self._processes = StoreProcesses.borrow()
        processes = self._processes
        await asyncio.to_thread(_remove, scratch)
        try:
            await processes.copy(live, scratch)
            return await asyncio.to_thread(scratch.read_bytes)
        finally:
            await asyncio.to_thread(_remove, scratch)

    async def close(self) -> None:
        """Nothing is kept until the next copy: the last one of a session comes after its work in
        the background has ended."""
        processes, self._processes = self._processes, None
        if processes is not None:
            await processes.give_back()


async def take_snapshot(live: Path, scratch: Path) -> bytes:
    """One copy; see `Snapshotter.take`."""
    snapshotter = Snapshotter()
    try:
        return await snapshotter.take(live, scratch)
    finally:
        await snapshotter.close()


def _remove(scratch: Path) -> None:
    for name in (scratch.name, f"{scratch.name}-wal", f"{scratch.name}-shm"):
        scratch.with_name(name).unlink(missing_ok=True)
