"""The short way to a session's owner on the same machine: a Unix socket beside Ray's calls.

One call of Ray takes each side half a millisecond of processor time, a message over a socket a
fortieth of that. Only what is asked for each send goes this way, and only what may be asked twice:
whenever the socket is not there, or breaks, Ray's call is made as if nothing had been asked. The
sockets are in the node's data folder, which nobody else enters.

On the wire: frames of JSON with their length before them. A call is `[number, name, {arguments}]`,
an answer `[number, value, error]`, with an error as `GatewayError.to_payload` has it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import structlog

from cluster.domain.errors import GatewayError, error_from_payload

__all__ = ["LocalCalls", "NoWayError", "local_socket", "serve_local_calls"]

log = structlog.get_logger(__name__)

_LENGTH = struct.Struct("!I")
#: The largest frame, bytes: as large as what an outbox row may hold.
_LARGEST = 64 << 20
#: Bytes that a process which reads nothing is sent; more goes by Ray, which is notified of that.
_UNREAD = 1 << 20
#: Calls of one connection that are under way at once; the next ones are read after that.
_AT_ONCE = 4096
#: Longest path of a Unix socket, bytes (Linux, unix(7)).
_LONGEST_PATH = 107
#: Seconds that a socket on which nobody listened is left alone.
_REST = 1.0

Handle = Callable[[str, dict[str, Any]], Awaitable[Any]]


class NoWayError(Exception):
    """Nobody answers there: nothing was done, or it may be asked again."""


def local_socket(data_dir: Path, *, host: int, session_id: int) -> Path:
    """Where a process listens that hosts several sessions (`host`), or one."""
    return data_dir / "calls" / (f"host-{host}" if host else f"session-{session_id}")


async def serve_local_calls(path: Path, handle: Handle) -> asyncio.Server | None:
    """Answer calls at `path` with what `handle` gives for a name and its arguments; JSON-able. A
    `GatewayError` reaches the caller. None: there can be no socket; Ray's calls remain."""
    if len(os.fsencode(path)) + len(str(os.getpid())) + 1 > _LONGEST_PATH:
        log.info("local_calls.path_too_long", path=str(path))
        return None
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(_Served(handle).connected, fresh)
        fresh.chmod(0o600)
        # Whoever finds it finds somebody who listens, or one who is gone.
        fresh.replace(path)
    except OSError as error:
        log.warning("local_calls.not_served", path=str(path), error=str(error))
        return None
    return server


class _Served:
    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        under_way: set[asyncio.Task[None]] = set()
        try:
            while True:
                if len(under_way) >= _AT_ONCE:
                    await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                    continue
                number, name, arguments = await _read(reader)
                task = asyncio.create_task(self._answer(writer, number, name, arguments))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
        except (OSError, EOFError, ValueError, TypeError) as error:
            if not isinstance(error, EOFError | ConnectionError):
                log.warning("local_calls.refused", error=repr(error))
        finally:
            # Who asked has gone, or asks Ray.
            for task in under_way:
                task.cancel()
            writer.close()

    async def _answer(
        self, writer: asyncio.StreamWriter, number: int, name: str, arguments: dict[str, Any]
    ) -> None:
        value, failure = None, None
        try:
            value = await self._handle(name, arguments)
        except GatewayError as error:
            failure = error.to_payload()
        except Exception as error:
            log.exception("local_calls.failed", call=name)
            failure = GatewayError(f"{type(error).__name__}: {error}").to_payload()
        # uvloop's raise an error when nobody is there any more, asyncio's do not.
        if not writer.is_closing():
            writer.write(_frame([number, value, failure]))


class _Connection:
    """One to one process; calls are answered in any order."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self.open = True
        self._task = asyncio.create_task(self._listen(reader), name="local-calls")

    async def call(self, name: str, arguments: dict[str, Any]) -> Any:
        number = next(self._numbers)
        frame = _frame([number, name, arguments])
        if self._writer.is_closing():
            raise NoWayError("the connection broke")
        waiting = self._writer.transport.get_write_buffer_size()
        if len(frame) > _LARGEST or waiting > _UNREAD:
            raise NoWayError("too much for the socket")
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            self._writer.write(frame)
            return await answer
        finally:
            del self._asked[number]

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                number, value, error = await _read(reader)
                answer = self._asked.get(number)
                if answer is None or answer.done():
                    continue
                if error is None:
                    answer.set_result(value)
                else:
                    answer.set_exception(error_from_payload(error))
        except (OSError, EOFError, ValueError, TypeError) as error:
            if not isinstance(error, EOFError | ConnectionError):
                log.warning("local_calls.broken", error=repr(error))
        finally:
            self.open = False
            self._writer.close()
            for answer in self._asked.values():
                if not answer.done():
                    answer.set_exception(NoWayError("the connection broke"))


class LocalCalls:
    """Connections to the processes of this node. Belongs to one event loop."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._connections: dict[Path, _Connection] = {}
        #: Where nobody listened, and until when it is not tried again; monotonic seconds.
        self._resting: dict[Path, float] = {}

    async def call(self, host: int, session_id: int, name: str, /, **arguments: Any) -> Any:
        """Ask the process that has a session; JSON-able. Raises `NoWayError` when it is not on
        this node, or does not answer this way, and what it raised."""
        path = local_socket(self._data_dir, host=host, session_id=session_id)
        connection = self._connections.get(path)
        if connection is None or not connection.open:
            connection = await self._connect(path)
        return await connection.call(name, {**arguments, "session_id": session_id})

    async def close(self) -> None:
        connections, self._connections = list(self._connections.values()), {}
        for connection in connections:
            await connection.close()

    async def _connect(self, path: Path) -> _Connection:
        now = asyncio.get_running_loop().time()
        if self._resting.get(path, 0.0) > now:
            raise NoWayError(path.name)
        self._connections = {p: one for p, one in self._connections.items() if one.open}
        try:
            reader, writer = await asyncio.open_unix_connection(path)
        except OSError as error:
            self._resting = {p: until for p, until in self._resting.items() if until > now}
            self._resting[path] = now + _REST
            raise NoWayError(path.name) from error
        if (other := self._connections.get(path)) is not None and other.open:
            # Somebody was quicker.
            writer.close()
            return other
        self._connections[path] = connection = _Connection(reader, writer)
        return connection


def _frame(value: Any) -> bytes:
    body = json.dumps(value, separators=(",", ":")).encode()
    return _LENGTH.pack(len(body)) + body


async def _read(reader: asyncio.StreamReader) -> Any:
    """Raises `EOFError` at the end, `ValueError` on what is no frame."""
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    if length > _LARGEST:
        raise ValueError(f"a frame of {length} bytes")
    return json.loads(await reader.readexactly(length))
