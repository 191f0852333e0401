"""Connections that PostgreSQL closed cost no caller anything."""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import SecretStr

from cluster.domain.errors import Unavailable
from cluster.settings import Settings
from cluster.stores import Stores
from cluster.stores.database import Database


async def test_connections_lost_while_idle_are_replaced_unnoticed(
    stores: Stores, store_settings: Settings
) -> None:
    database = await Database.open(store_settings.stores)
    try:

        async def who() -> int:
            row = await database.one("SELECT pg_backend_pid() AS pid, pg_sleep(0.1)", {})
            assert row is not None
            return int(row["pid"])

        before = set(await asyncio.gather(*(who() for _ in range(4))))
        assert len(before) > 1
        # As a restart of the server does.
        for pid in before:
            await stores.db.run("SELECT pg_terminate_backend(%(pid)s, 5000)", {"pid": pid})
        after = set(await asyncio.gather(*(who() for _ in range(4))))
        assert not before & after
    finally:
        await database.close()


async def test_the_connection_that_was_used_last_is_used_next(store_settings: Settings) -> None:
    database = await Database.open(store_settings.stores)
    try:

        async def who(seconds: float = 0.0) -> int:
            row = await database.one(
                "SELECT pg_backend_pid() AS pid, pg_sleep(%(seconds)s)", {"seconds": seconds}
            )
            assert row is not None
            return int(row["pid"])

        several = set(await asyncio.gather(*(who(0.1) for _ in range(4))))
        assert len(several) > 1
        assert len({await who() for _ in range(10)}) == 1
    finally:
        await database.close()


async def test_the_server_lets_go_of_machines_that_are_gone(store_settings: Settings) -> None:
    """A transaction whose client says nothing more holds its rows for no longer than a statement
    may take."""
    settings = store_settings.stores.model_copy(update={"store_timeout_seconds": 1.0})
    database = await Database.open(settings)
    try:
        for name in ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count"):
            row = await database.one(f"SHOW {name}", {})
            assert row is not None
            assert int(row[name]) > 0
        with pytest.raises(Unavailable):
            await _transaction_with_a_pause(database, 2)
    finally:
        await database.close()


async def _transaction_with_a_pause(database: Database, seconds: float) -> None:
    async with database.connection() as connection, connection.transaction():
        await connection.execute("SELECT 1")
        await asyncio.sleep(seconds)
        await connection.execute("SELECT 1")


class _Pooler:
    """In front of PostgreSQL, as PgBouncer is: it refuses a session's options, or drops them
    (`ignore_startup_parameters`). No pooler: what it does to a connection's first message."""

    def __init__(self, behind: tuple[str, int], *, refuses: bool) -> None:
        self._behind = behind
        self._refuses = refuses

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = b""
        # Asked for TLS, or for GSS: no.
        while not first or first[:4] != struct.pack(">I", 196608):
            if first:
                writer.write(b"N")
            (size,) = struct.unpack(">I", await reader.readexactly(4))
            first = await reader.readexactly(size - 4)
        names, values = first[4:].split(b"\0")[:-2:2], first[4:].split(b"\0")[1:-1:2]
        given = dict(zip(names, values, strict=True))
        if given.pop(b"options", None) and self._refuses:
            said = b"SFATAL\0C08P01\0Munsupported startup parameter: options\0\0"
            writer.write(b"E" + struct.pack(">I", len(said) + 4) + said)
            writer.close()
            return
        rest = b"".join(name + b"\0" + value + b"\0" for name, value in given.items()) + b"\0"
        theirs, ours = await asyncio.open_connection(*self._behind)
        ours.write(struct.pack(">II", len(rest) + 8, 196608) + rest)
        await asyncio.gather(_relay(reader, ours), _relay(theirs, writer))


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()


@pytest.mark.parametrize("refuses", [True, False])
async def test_a_pooler_that_takes_no_options_is_refused_in_words(
    store_settings: Settings, refuses: bool
) -> None:
    settings = store_settings.stores
    url = settings.database_url.get_secret_value()
    there = conninfo_to_dict(url)
    pooler = _Pooler((str(there["host"]), int(str(there["port"]))), refuses=refuses)
    server = await asyncio.start_server(pooler.serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        through = SecretStr(make_conninfo(url, host="127.0.0.1", port=port))
        with pytest.raises(Unavailable, match="leads to a pooler"):
            await Database.open(settings.model_copy(update={"database_url": through}))
