"""A PostgreSQL whose packets get nowhere holds up no call for longer than a moment; one that is
only slow is waited for."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import SecretStr

from cluster.domain.errors import Unavailable
from cluster.settings import Settings
from cluster.stores.database import Database


class Way:
    """Between a pool and its server. Cut: bytes get nowhere, and no new connection comes to be
    (the kernel drops them while the queue of those to be accepted is full)."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self._listener.setblocking(False)
        self._open = asyncio.Event()
        self._open.set()
        self._fill: list[socket.socket] = []
        self._tasks = {asyncio.create_task(self._accept())}

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def cut(self) -> None:
        self._open.clear()
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", self.port))
            self._fill.append(one)

    def mend(self) -> None:
        while self._fill:
            self._fill.pop().close()
        self._open.set()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.mend()
        self._listener.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._open.wait()
            one, _ = await loop.sock_accept(self._listener)
            self._tasks.add(asyncio.create_task(self._carry(one)))

    async def _carry(self, one: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=one)
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        await asyncio.gather(self._pass(reader, back), self._pass(there, writer))

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                await self._open.wait()
                sink.write(data)
        sink.close()


@pytest_asyncio.fixture
async def way(store_settings: Settings) -> AsyncIterator[Way]:
    url = store_settings.stores.database_url.get_secret_value()
    one = Way(int(conninfo_to_dict(url)["port"] or 0))
    yield one
    await one.close()


@pytest_asyncio.fixture
async def database(store_settings: Settings, way: Way) -> AsyncIterator[Database]:
    url = store_settings.stores.database_url.get_secret_value()
    far = SecretStr(make_conninfo(url, host="127.0.0.1", port=way.port))
    opened = await Database.open(store_settings.stores.model_copy(update={"database_url": far}))
    yield opened
    way.mend()
    await opened.close()


async def _refused(database: Database) -> float:
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await database.ping()
    return time.monotonic() - began


async def test_calls_end_soon_and_then_at_once(database: Database, way: Way) -> None:
    await database.ping()
    way.cut()
    together = await asyncio.gather(*(_refused(database) for _ in range(30)))
    # More calls than the pool has connections: those that waited for one end, too.
    assert max(together) < 2.5
    assert await _refused(database) < 0.1
    way.mend()
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(Unavailable):
                await database.ping()
                break
            await asyncio.sleep(0.1)


async def test_a_transaction_ends_as_soon(database: Database, way: Way) -> None:
    async def cut_in_the_middle() -> None:
        async with database.connection() as connection, connection.transaction():
            await connection.execute("SELECT 1")
            way.cut()
            await connection.execute("SELECT 2")

    await database.ping()
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await cut_in_the_middle()
    assert time.monotonic() - began < 2.5


async def test_a_statement_that_takes_its_time_is_waited_for(database: Database) -> None:
    began = time.monotonic()
    await database.one("SELECT pg_sleep(1.5)", {})
    assert time.monotonic() - began > 1.4
    assert database._breaker._open is False
