"""A consistent copy of the live device store."""

from __future__ import annotations

from pathlib import Path

from actors.checkpoint.store_process import StoreProcesses

__all__ = ["Snapshotter", "take_snapshot"]


class Snapshotter:
    """Copies one store again and again, one copy at a time."""

    def __init__(self) -> None:
        self._processes: StoreProcesses | None = None

    async def take(self, live: Path) -> bytes:
        """The bytes of the database as of one commit; empty when there is none. Raises
        `Unavailable` when it cannot be copied."""
        if self._processes is None:
            self._processes = StoreProcesses.borrow()
        return await self._processes.copy(live)

    async def close(self) -> None:
        """Nothing is kept until the next copy: the last one of a session comes after its work in
        the background has ended."""
        processes, self._processes = self._processes, None
        if processes is not None:
            await processes.give_back()


async def take_snapshot(live: Path) -> bytes:
    """One copy; see `Snapshotter.take`."""
    snapshotter = Snapshotter()
    try:
        return await snapshotter.take(live)
    finally:
        await snapshotter.close()
