"""A consistent copy of the live device store, made by another process.

Never open the live file in the process that runs the library: SQLite locks files with fcntl, and
the kernel drops *all* locks of a process on a file when the process closes *any* descriptor of it
(https://www.sqlite.org/howtocorrupt.html, "Posix advisory locks"). The library's SQLite and
Python's are two copies that do not know of each other.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from cluster.domain.errors import Unavailable

__all__ = ["take_snapshot"]

_SECONDS = 30.0
_COPY = """
import sqlite3, sys
from contextlib import closing
with closing(sqlite3.connect(f"file:{sys.argv[1]}?mode=rw", uri=True, timeout=20)) as live:
    with closing(sqlite3.connect(sys.argv[2])) as copy:
        live.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")
"""


async def take_snapshot(live: Path, scratch: Path) -> bytes:
    """The bytes of the database as of one commit. Raises `Unavailable` when it cannot be copied.

    `scratch`: a file of the caller's, overwritten and removed.
    """
    await asyncio.to_thread(_remove, scratch)
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-I", "-S", "-c", _COPY),
        str(live),
        str(scratch),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_SECONDS):
            _, errors = await child.communicate()
        if child.returncode:
            last = errors.decode(errors="replace").strip().rpartition("\n")[2]
            raise Unavailable(f"the device store could not be copied: {last}", retry_after=5)
        return await asyncio.to_thread(scratch.read_bytes)
    except TimeoutError as error:
        raise Unavailable("copying the device store took too long", retry_after=5) from error
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
        await asyncio.to_thread(_remove, scratch)


def _remove(scratch: Path) -> None:
    for name in (scratch.name, f"{scratch.name}-wal", f"{scratch.name}-shm"):
        scratch.with_name(name).unlink(missing_ok=True)
