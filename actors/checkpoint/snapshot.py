"""A consistent copy of the live device store, made by another process.

Never open the live file in the process that runs the library: SQLite locks files with fcntl, and
the kernel drops *all* locks of a process on a file when the process closes *any* descriptor of it
(https://www.sqlite.org/howtocorrupt.html, "Posix advisory locks"). The library's SQLite and
Python's are two copies that do not know of each other.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path

from cluster.domain.errors import Unavailable

__all__ = ["Copier", "take_snapshot"]

_SECONDS = 30.0
#: A copying process that had nothing to do for so long ends, seconds.
_IDLE = 10
#: Starting Python takes ten times as long as the copy, so one process makes many.
_COPY = """
import json, select, sqlite3, sys
from contextlib import closing
while select.select([sys.stdin], [], [], float(sys.argv[1]))[0] and (line := sys.stdin.readline()):
    source, target = json.loads(line)
    said = ""
    try:
        with closing(sqlite3.connect(f"file:{source}?mode=rw", uri=True, timeout=20)) as live:
            with closing(sqlite3.connect(target)) as copy:
                live.backup(copy)
                copy.execute("PRAGMA journal_mode=DELETE")
    except (sqlite3.Error, OSError) as error:
        said = f"{type(error).__name__}: {error}"
    print(json.dumps(said), flush=True)
"""


class Copier:
    """Copies one store again and again, one copy at a time; its process comes and goes."""

    def __init__(self) -> None:
        self._child: asyncio.subprocess.Process | None = None

    async def take(self, live: Path, scratch: Path) -> bytes:
        """The bytes of the database as of one commit. Raises `Unavailable` when it cannot be
        copied. `scratch`: a file of the caller's, overwritten and removed."""
        await asyncio.to_thread(_remove, scratch)
        try:
            said = await self._said(json.dumps([str(live), str(scratch)]).encode() + b"\n")
            if said:
                raise Unavailable(f"the device store could not be copied: {said}", retry_after=5)
            return await asyncio.to_thread(scratch.read_bytes)
        finally:
            await asyncio.to_thread(_remove, scratch)

    async def close(self) -> None:
        """End its process."""
        child, self._child = self._child, None
        if child is not None and child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()

    async def _said(self, line: bytes) -> str:
        """What went wrong, empty when nothing did."""
        try:
            async with asyncio.timeout(_SECONDS):
                return await self._ask(line)
        except TimeoutError as error:
            await self.close()
            raise Unavailable("copying the device store took too long", retry_after=5) from error
        except asyncio.CancelledError:
            # Nobody waits for what it is about to answer.
            await self.close()
            raise

    async def _ask(self, line: bytes) -> str:
        # An old process may be about to end for want of work, so a fresh one gets a second try.
        for child in (self._child, None):
            process = child or await self._start()
            assert process.stdin is not None  # noqa: S101 - pipes, see `_start`
            assert process.stdout is not None  # noqa: S101
            with contextlib.suppress(ConnectionError):
                process.stdin.write(line)
                await process.stdin.drain()
                if answer := await process.stdout.readline():
                    return str(json.loads(answer))
            await self.close()
        return "the copying process ended"

    async def _start(self) -> asyncio.subprocess.Process:
        self._child = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", "-S", "-c", _COPY, str(_IDLE)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        return self._child


async def take_snapshot(live: Path, scratch: Path) -> bytes:
    """One copy; see `Copier.take`."""
    copier = Copier()
    try:
        return await copier.take(live, scratch)
    finally:
        await copier.close()


def _remove(scratch: Path) -> None:
    for name in (scratch.name, f"{scratch.name}-wal", f"{scratch.name}-shm"):
        scratch.with_name(name).unlink(missing_ok=True)
