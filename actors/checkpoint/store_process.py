"""Another process that opens live device stores: the only way to look into one.

Never open the live file in the process that runs the library: SQLite locks files with fcntl, and
the kernel drops *all* locks of a process on a file when the process closes *any* descriptor of it
(https://www.sqlite.org/howtocorrupt.html, "Posix advisory locks"). The library's SQLite and
Python's are two copies that do not know of each other. Even a read-only connection, when it is
closed, takes itself for the last one and clears the write-ahead log away under the library: the
store is malformed from then on.
"""

from __future__ import annotations

import asyncio
import contextlib
import marshal
import sys
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from cluster.domain.errors import Unavailable

__all__ = ["StoreProcess", "StoreProcesses"]

_SECONDS = 30.0
#: A process that had nothing to do for so long ends, seconds.
_IDLE = 10.0
#: Processes that the sessions of an event loop share.
_SHARED = 2
#: Bytes of a frame's length.
_SIZE = 8
#: Bytes of one answer: a table of all people an account knows is one line.
_LONGEST_ANSWER = 64 << 20
#: Starting Python takes ten times as long as the work, so one process does it many times; and the
#: modules `sqlite3` and `json`, which it does without, take as long again. Both sides speak in
#: frames: a length of 8 bytes, and so many of `marshal`; a copy follows its answer.
_PROGRAM = """
import marshal, os, select, sys
from _sqlite3 import Error, connect
asked, answers = sys.stdin.buffer, sys.stdout.buffer
while select.select([0], [], [], float(sys.argv[1]))[0] and (size := asked.read(8)):
    store, query = marshal.loads(asked.read(int.from_bytes(size, "big")))
    said, rows, data, opened = "", [], b"", []
    try:
        if query or os.path.exists(store):
            live = connect(f"file:{store}?mode=rw", uri=True, timeout=20)
            opened.append(live)
            if not query:
                copy = connect(":memory:")
                opened.append(copy)
                (size,) = live.execute("PRAGMA page_size").fetchone()
                copy.execute(f"PRAGMA page_size={size}")
                live.backup(copy)
                data = copy.serialize()
                # Of a file without a write-ahead log (SQLite file format, offset 18).
                data = data[:18] + bytes([1, 1]) + data[20:]
            else:
                live.execute("PRAGMA query_only=ON")
                # Names are kept as their owners wrote them, which need not be UTF-8.
                live.text_factory = lambda raw: raw.decode("utf-8", "replace")
                rows = live.execute(query).fetchall()
    except (Error, OSError) as error:
        said = f"{type(error).__name__}: {error}"
    for one in opened:
        one.close()
    answer = marshal.dumps((said, rows, len(data)))
    answers.write(len(answer).to_bytes(8, "big") + answer)
    answers.write(data)
    answers.flush()
"""


def _framed(data: bytes) -> bytes:
    return len(data).to_bytes(_SIZE, "big") + data


class StoreProcess:
    """Serves one caller after the other; its process comes and goes."""

    def __init__(self, idle: float = _IDLE) -> None:
        """`idle`: seconds without work after which the process ends."""
        self._idle = idle
        #: Callers that wait or are served.
        self.callers = 0
        self._child: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def copy(self, store: Path) -> bytes:
        """The database as of one commit; empty when there is none. Raises `Unavailable`."""
        return (await self._do(store, ""))[1]

    async def rows(self, store: Path, query: str) -> list[list[Any]]:
        """What a query finds: texts and numbers only (`hex(column)` for bytes). Raises
        `Unavailable`."""
        return (await self._do(store, query))[0]

    async def close(self) -> None:
        """End the process."""
        child, self._child = self._child, None
        if child is not None and child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()

    async def _do(self, store: Path, query: str) -> tuple[list[list[Any]], bytes]:
        asked = marshal.dumps((str(store), query))
        self.callers += 1
        try:
            async with self._turn:
                said, rows, data = await self._answer(_framed(asked))
        finally:
            self.callers -= 1
        if said:
            raise Unavailable(f"the device store could not be read: {said}", retry_after=5)
        return rows, data

    async def _answer(self, asked: bytes) -> tuple[str, list[list[Any]], bytes]:
        try:
            async with asyncio.timeout(_SECONDS):
                return await self._ask(asked)
        except TimeoutError as error:
            await self.close()
            raise Unavailable("the device store does not answer", retry_after=5) from error
        except asyncio.CancelledError:
            # Nobody waits for what it is about to answer.
            await self.close()
            raise

    async def _ask(self, asked: bytes) -> tuple[str, list[list[Any]], bytes]:
        # An old process may be about to end for want of work, so a fresh one gets a second try.
        for child in (self._child, None):
            process = child or await self._start()
            assert process.stdin is not None  # noqa: S101 - pipes, see `_start`
            assert process.stdout is not None  # noqa: S101
            if process.returncode is not None or process.stdin.is_closing():
                # It ended since: asyncio's pipes say so by an error of the connection when they
                # are written to, uvloop's (the loop under Ray) by a RuntimeError.
                await self.close()
                continue
            with contextlib.suppress(ConnectionError):
                process.stdin.write(asked)
                await process.stdin.drain()
                with contextlib.suppress(asyncio.IncompleteReadError):
                    size = int.from_bytes(await process.stdout.readexactly(_SIZE), "big")
                    if size > _LONGEST_ANSWER:
                        await self.close()
                        return f"the answer is longer than {_LONGEST_ANSWER} bytes", [], b""
                    answer = await process.stdout.readexactly(size)
                    # Of our own program above.
                    said, rows, follow = marshal.loads(answer)  # noqa: S302  # nosec B302
                    data = await process.stdout.readexactly(follow)
                    return str(said), [list(row) for row in rows], data
            await self.close()
        return "the process for it ended", [], b""

    async def _start(self) -> asyncio.subprocess.Process:
        self._child = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", "-S", "-c", _PROGRAM, str(self._idle)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=_LONGEST_ANSWER,
        )
        return self._child


class StoreProcesses:
    """A few for all sessions of an event loop: a hundred sessions that have a message every few
    seconds would each keep one, or start one for each message."""

    def __init__(self) -> None:
        self._users = 0
        self._processes = [StoreProcess() for _ in range(_SHARED)]

    @staticmethod
    def borrow() -> StoreProcesses:
        """Those of the running loop, until `give_back`."""
        found = _of_loops.setdefault(asyncio.get_running_loop(), StoreProcesses())
        found._users += 1
        return found

    async def give_back(self) -> None:
        """The last user ends the processes."""
        self._users -= 1
        if not self._users:
            for process in self._processes:
                await process.close()

    async def copy(self, store: Path) -> bytes:
        """See `StoreProcess.copy`."""
        return await self._least_asked().copy(store)

    async def rows(self, store: Path, query: str) -> list[list[Any]]:
        """See `StoreProcess.rows`."""
        return await self._least_asked().rows(store, query)

    def _least_asked(self) -> StoreProcess:
        return min(self._processes, key=lambda one: one.callers)


_of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, StoreProcesses] = WeakKeyDictionary()
