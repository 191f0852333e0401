"""Connections to Redis that broke since they were used last, in the loop that the front has."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

from cluster.domain.errors import Unavailable
from cluster.settings import Settings
from cluster.stores.cache import Cache


def test_a_connection_that_broke_is_redis_away_and_nothing_else(store_settings: Settings) -> None:
    async def work() -> None:
        cache = Cache(store_settings.stores)
        await cache.ping()
        for connection in cache._redis.connection_pool._available_connections:
            if connection is not None:
                assert connection._writer is not None
                connection._writer.transport.abort()
        await asyncio.sleep(0.05)
        assert await cache.status_many([1, 2]) == [None, None]
        try:
            await cache.ping()
        except Unavailable:
            pytest.fail("it makes a new connection")
        await cache.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work())
