"""Stores that die, hang, forget, or are away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import redis.asyncio

from chaos.faults.processes import kill_node
from chaos.scene import Fault, Scene, Strike
from chaos.servers import Servers, Store

__all__ = ["STORE_FAULTS"]

_AWAY_SECONDS = 60.0
_HANG_SECONDS = 20.0

_Strikes = Callable[[Scene], AbstractAsyncContextManager[Strike]]


def _killed(choose: Callable[[Servers], Store], away: float) -> _Strikes:
    """SIGKILL, and a start after `away` seconds; recovery is counted from its return."""

    @asynccontextmanager
    async def strike(scene: Scene) -> AsyncIterator[Strike]:
        store = choose(scene.servers)
        began = time.monotonic()
        await store.kill()
        await asyncio.sleep(away)
        await store.start()
        back = time.monotonic()
        yield Strike(
            affected=scene.people, since=back, what=f"{store.name} away for {back - began:.1f} s"
        )

    return strike


@asynccontextmanager
async def postgres_hangs(scene: Scene) -> AsyncIterator[Strike]:
    scene.servers.postgres.freeze()
    try:
        await asyncio.sleep(_HANG_SECONDS)
    finally:
        scene.servers.postgres.thaw()
    yield Strike(affected=scene.people, since=time.monotonic(), what="20 s without an answer")


@asynccontextmanager
async def redis_flush(scene: Scene) -> AsyncIterator[Strike]:
    since = time.monotonic()
    async with redis.asyncio.Redis.from_url(
        scene.servers.redis.direct()["REDIS_URL"]
    ) as connection:
        keys = await connection.dbsize()
        await connection.flushall()
    yield Strike(affected=scene.people, since=since, what=f"{keys} keys flushed")


@asynccontextmanager
async def s3_away_node_lost(scene: Scene) -> AsyncIterator[Strike]:
    objects = scene.servers.objects
    await objects.kill()
    try:
        async with kill_node(scene) as killed:
            # Its sessions have nothing to restore from; that is not their fault.
            await asyncio.sleep(_AWAY_SECONDS / 2)
            failed = [
                n
                for n, one in (await scene.gateway.sessions()).items()
                if one["status"] == "FAILED"
            ]
            if failed:
                killed.remarks.append(f"{len(failed)} sessions FAILED while S3 was away")
            await objects.start()
            killed.since = time.monotonic()
            yield killed
    finally:
        if not objects.running:
            await objects.start()


STORE_FAULTS = [
    Fault("redis_flush", "FLUSHALL", redis_flush, stays_connected=True),
    Fault(
        "redis_kill",
        "SIGKILL of Valkey, and a start",
        _killed(lambda s: s.redis, 1.0),
        stays_connected=True,
    ),
    Fault(
        "postgres_restart",
        "SIGKILL of PostgreSQL, and a start",
        _killed(lambda s: s.postgres, 0.0),
        stays_connected=True,
    ),
    Fault(
        "postgres_away_60s",
        "PostgreSQL down for 60 s",
        _killed(lambda s: s.postgres, _AWAY_SECONDS),
    ),
    Fault("postgres_hangs", "PostgreSQL stopped (SIGSTOP) for 20 s", postgres_hangs),
    Fault(
        "s3_away_60s",
        "SeaweedFS down for 60 s",
        _killed(lambda s: s.objects, _AWAY_SECONDS),
        stays_connected=True,
    ),
    Fault("s3_away_node_lost", "a node killed while S3 is away, for 30 s", s3_away_node_lost),
]
