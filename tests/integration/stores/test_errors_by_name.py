"""What PostgreSQL refuses has a name: about the values, or about the server."""

from __future__ import annotations

import asyncio
import secrets

import psycopg
import pytest

from cluster.domain.errors import Conflict, TooSlow, Unavailable, Unstorable
from cluster.domain.session import DesiredState, SessionRecord
from cluster.settings import Settings
from cluster.stores import Stores
from cluster.stores.database import Database

ABOUT_VALUES = {
    "22P02": "SELECT 'x'::text::integer",
    "22003": "SELECT 9999999999::integer",
    "22P05": "SELECT '\"\\u0000\"'::jsonb ->> 0",
    "23514": "INSERT INTO sessions (tenant, name, desired, status, config) "
    "VALUES ('t', 'n', 'no', 'no', '{}')",
    "54000": "SELECT repeat('ab ' || repeat('x', 2000) || ' ', 1)::tsvector || "
    "(SELECT string_agg(md5(n::text), ' ') FROM generate_series(1, 100000) n)::tsvector",
    "P0001": "DO $$ BEGIN RAISE EXCEPTION 'no'; END $$",
}
ABOUT_THE_SERVER = {
    "42P01": "SELECT 1 FROM no_such_table",
    "XX000": "DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'XX000'; END $$",
    "40P01": "DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '40P01'; END $$",
    "53100": "DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '53100'; END $$",
    "57P01": "DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '57P01'; END $$",
    "25006": "DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '25006'; END $$",
    "0A000": "DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '0A000'; END $$",
}


@pytest.mark.attack
@pytest.mark.parametrize("sqlstate", ABOUT_VALUES)
async def test_values_that_postgresql_does_not_take(stores: Stores, sqlstate: str) -> None:
    with pytest.raises(Unstorable) as caught:
        await stores.db.run(ABOUT_VALUES[sqlstate], {})

    assert isinstance(caught.value.__cause__, psycopg.Error)
    assert caught.value.__cause__.sqlstate == sqlstate


@pytest.mark.parametrize("sqlstate", ABOUT_THE_SERVER)
async def test_a_server_that_does_not_do_its_work(stores: Stores, sqlstate: str) -> None:
    with pytest.raises(Unavailable) as caught:
        await stores.db.run(ABOUT_THE_SERVER[sqlstate], {})

    assert not isinstance(caught.value, TooSlow)
    assert isinstance(caught.value.__cause__, psycopg.Error)
    assert caught.value.__cause__.sqlstate == sqlstate
    await stores.db.ping()


async def test_a_statement_that_takes_too_long(stores: Stores) -> None:
    with pytest.raises(TooSlow):
        await stores.db.run(
            "DO $$ BEGIN RAISE EXCEPTION 'canceling' USING ERRCODE = '57014'; END $$", {}
        )


async def test_values_that_psycopg_does_not_send(stores: Stores) -> None:
    for value in ("half a pair: \ud800", "NUL: \x00", object()):
        with pytest.raises(Unstorable):
            await stores.db.one("SELECT %(value)s::text", {"value": value})


async def test_a_server_that_was_read_only_is_written_again(
    stores: Stores, record: SessionRecord
) -> None:
    """As a failover shows itself: the same connections, a server that does not write."""
    await stores.db.run("SET default_transaction_read_only = on", {})
    with pytest.raises(Unavailable):
        await stores.sessions.set_desired(record.id, DesiredState.RUNNING)

    await stores.sessions.set_desired(record.id, DesiredState.RUNNING)


async def test_a_name_that_is_taken_is_still_a_conflict(
    stores: Stores, record: SessionRecord
) -> None:
    with pytest.raises(Conflict):
        await stores.sessions.create(record.tenant, record.name, {}, DesiredState.STOPPED)


async def test_statements_prepared_before_a_migration_are_planned_anew(
    store_settings: Settings,
) -> None:
    table = f"planned_{secrets.token_hex(4)}"
    database = await Database.open(store_settings.stores)
    try:
        await database.run(f"CREATE TABLE {table} (a integer)", {})
        await database.run(f"INSERT INTO {table} VALUES (1)", {})

        async def read() -> object:
            return await database.all(f"SELECT * FROM {table}", {})

        for _ in range(8):
            await read()
        await _everywhere(store_settings, f"ALTER TABLE {table} ADD COLUMN b integer DEFAULT 2")

        for _ in range(8):
            assert await read() == [{"a": 1, "b": 2}]
    finally:
        await database.run(f"DROP TABLE IF EXISTS {table}", {})
        await database.close()


async def _everywhere(settings: Settings, statement: str) -> None:
    def run() -> None:
        url = settings.stores.database_url.get_secret_value()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[arg-type, unused-ignore]

    await asyncio.to_thread(run)
