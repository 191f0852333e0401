"""Connections that PostgreSQL closed cost no caller anything."""

from __future__ import annotations

import asyncio

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
