"""A consistent copy of the live device store, and room for what it writes next."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from actors.checkpoint.store_process import StoreProcesses

__all__ = ["ROOM", "Snapshotter", "reserve", "take_snapshot"]

#: Bytes: some sixty commits of the library.
ROOM = 256 << 10
#: Linux, fallocate(2): the file stays as long as it is.
_KEEP_SIZE = 1
_libc = ctypes.CDLL(None, use_errno=True)


def reserve(live: Path) -> bool:
    """Have the disk keep room for the next commits of a store, so that a disk that fills up is seen
    where something is refused, and not by a decryption that whatsmeow cannot commit: it
    acknowledges such a message. False: nobody has the store open. Raises `OSError` where there is
    no room.

    The write-ahead log takes all commits. SQLite holds no lock on that file, which closing it here
    would end.
    """
    log = live.with_name(f"{live.name}-wal")
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        size = ctypes.c_long(os.fstat(descriptor).st_size + ROOM)
        if _libc.fallocate(descriptor, _KEEP_SIZE, ctypes.c_long(0), size):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return True
    finally:
        os.close(descriptor)


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
