"""PostgreSQL as operators change it: read-only, another clock, server or schema."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from psycopg import sql

from chaos.faults.processes import kill_session
from chaos.scene import Fault, Scene, Strike
from cluster.domain.errors import Unavailable

__all__ = ["DATABASE_FAULTS"]

_READ_ONLY_SECONDS = 5.0
#: Far beyond any lease.
_STEP_SECONDS = 600
#: How long connections are watched after the clock was set right.
_STEP_CALM = 6.0
#: Traffic that flows with a standby before the primary is lost.
_BEFORE_FAILOVER = 3.0
#: A migration waits no longer for a table that is in use, and tries again.
_LOCK_TIMEOUT = "500ms"
_LOCK_TRIES = 40


def _connected(scene: Scene) -> psycopg.Connection:
    connection = psycopg.connect(scene.servers.postgres.direct()["DATABASE_URL"], autocommit=True)
    connection.execute("SET default_transaction_read_only = off")
    return connection


def _read_only(scene: Scene, setting: str) -> None:
    """As a managed server does it that fails over: nothing can be written, connections end."""
    with _connected(scene) as connection:
        connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {setting}")
        connection.execute("SELECT pg_reload_conf()")
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )


@asynccontextmanager
async def postgres_read_only(scene: Scene) -> AsyncIterator[Strike]:
    await asyncio.to_thread(_read_only, scene, "on")
    try:
        await asyncio.sleep(_READ_ONLY_SECONDS)
    finally:
        await asyncio.to_thread(_read_only, scene, "off")
    yield Strike(affected=scene.people, since=time.monotonic(), what="5 s")


@asynccontextmanager
async def clock_step(scene: Scene) -> AsyncIterator[Strike]:
    """Forward, a takeover, back, another one."""
    clock = scene.servers.clock
    if clock is None:
        raise Unavailable("PostgreSQL's clock cannot be stepped: it was started without")
    clock.step(_STEP_SECONDS)
    try:
        async with kill_session(scene) as killed:
            killed.what = f"{_STEP_SECONDS} s forward, then {killed.what}"
            yield killed
    finally:
        clock.step(0)
    await asyncio.sleep(_STEP_CALM)


@asynccontextmanager
async def clock_step_back(scene: Scene) -> AsyncIterator[Strike]:
    """Ahead for a while, with leases of that time, then set right, and a takeover."""
    clock = scene.servers.clock
    if clock is None:
        raise Unavailable("PostgreSQL's clock cannot be stepped: it was started without")
    clock.step(_STEP_SECONDS)
    try:
        await asyncio.sleep(_STEP_CALM)
    finally:
        clock.step(0)
    async with kill_session(scene) as killed:
        killed.what = f"{_STEP_SECONDS} s back, then {killed.what}"
        yield killed


@asynccontextmanager
async def postgres_failover(scene: Scene) -> AsyncIterator[Strike]:
    standby = await scene.servers.standby()
    await asyncio.sleep(_BEFORE_FAILOVER)
    began = time.monotonic()
    await scene.servers.fail_over(standby)
    back = time.monotonic()
    yield Strike(
        affected=scene.people,
        since=back,
        what=f"a synchronous standby promoted within {back - began:.1f} s",
    )


@asynccontextmanager
async def rolling_migration(scene: Scene) -> AsyncIterator[Strike]:
    since = time.monotonic()
    tables = await asyncio.to_thread(_migrate, scene, f"chaos_{int(time.time())}")
    yield Strike(affected=scene.people, since=since, what=f"a column in {tables} tables, a new one")


def _migrate(scene: Scene, name: str) -> int:
    """What the next version's migrations may do, while the processes of this one go on."""
    with _connected(scene) as connection:
        connection.execute(f"SET lock_timeout = '{_LOCK_TIMEOUT}'")
        tables = [
            str(row[0])
            for row in connection.execute(
                "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace "
                "AND relkind IN ('r', 'p') AND NOT relispartition"
            ).fetchall()
        ]
        for table in tables:
            change = sql.SQL("ALTER TABLE {} ADD COLUMN {} integer NOT NULL DEFAULT 0").format(
                sql.Identifier(table), sql.Identifier(name)
            )
            for left in reversed(range(_LOCK_TRIES)):
                try:
                    connection.execute(change)
                    break
                except psycopg.errors.LockNotAvailable:
                    if not left:
                        raise
        connection.execute(
            sql.SQL("CREATE TABLE {} (id bigint PRIMARY KEY)").format(sql.Identifier(name))
        )
    return len(tables)


DATABASE_FAULTS = [
    Fault(
        "postgres_read_only",
        "PostgreSQL read-only for 5 s, its connections ended",
        postgres_read_only,
        stays_connected=True,
    ),
    Fault(
        "clock_step",
        "PostgreSQL's clock 10 min forward, and a session's process killed",
        clock_step,
        steps_clock=True,
        spares_others=True,
    ),
    Fault(
        "clock_step_back",
        "PostgreSQL's clock set back by 10 min, and a session's process killed",
        clock_step_back,
        steps_clock=True,
        spares_others=True,
    ),
    Fault(
        "postgres_failover",
        "the primary killed, a synchronous standby promoted",
        postgres_failover,
        cables=True,
        stays_connected=True,
    ),
    Fault(
        "rolling_migration",
        "columns and a table added under traffic, as by the next version",
        rolling_migration,
        stays_connected=True,
        spares_others=True,
    ),
]
