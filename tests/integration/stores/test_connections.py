"""Connections that PostgreSQL closed cost no caller anything."""

from __future__ import annotations

import asyncio

import pytest

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
