"""QR codes end by themselves, objects come back as they went, outages are named and survived."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import psycopg
import pytest
import redis
from owned_session import Owned
from pydantic import SecretStr

from cluster.domain.errors import Conflict, NotFound, SessionNotFound, Unavailable
from cluster.domain.session import DesiredState, SessionRecord
from cluster.settings import Settings
from cluster.stores import Stores
from cluster.stores.database import Database
from cluster.stores.migrate import migrate
from cluster.stores.objects import ObjectStore
from ops.embedded import EmbeddedStores


async def test_a_process_publishes_the_statuses_of_its_sessions(stores: Stores) -> None:
    many = range(10_000_000, 10_000_200)
    statuses = {one: {"status": "WORKING", "n": one} for one in many}
    await stores.cache.statuses_put(statuses, 30.0)
    await stores.cache.statuses_put({}, 30.0)
    assert await stores.cache.status_many(many) == list(statuses.values())


async def test_a_qr_code_is_shown_for_its_lifetime_only(
    stores: Stores, record: SessionRecord
) -> None:
    await stores.cache.qr_put(record.id, "2@code", 0.3)
    shown = await stores.cache.qr_get(record.id)
    assert shown is not None
    assert shown[0] == "2@code"
    assert 0 < shown[1] <= 0.3

    async with asyncio.timeout(5):
        while await stores.cache.qr_get(record.id) is not None:  # noqa: ASYNC110 - no notification
            await asyncio.sleep(0.02)


async def test_a_qr_code_that_was_scanned_is_gone(stores: Stores, record: SessionRecord) -> None:
    await stores.cache.qr_put(record.id, "2@code", 60)
    await stores.cache.qr_clear(record.id)
    assert await stores.cache.qr_get(record.id) is None


async def test_objects_come_back_as_they_went(stores: Stores) -> None:
    data = bytes(range(256)) * 500
    await stores.objects.put("roundtrip/a", data)
    await stores.objects.put("roundtrip/empty", b"")

    assert await stores.objects.get("roundtrip/a") == data
    assert await stores.objects.get("roundtrip/empty") == b""
    assert list(await stores.objects.list("roundtrip/")) == ["roundtrip/a", "roundtrip/empty"]
    await stores.objects.delete("roundtrip/a", "roundtrip/empty", "roundtrip/never-there")
    with pytest.raises(NotFound):
        await stores.objects.get("roundtrip/a")


async def test_no_store_answers_without_its_credentials(
    store_settings: Settings, stores_env: dict[str, str]
) -> None:
    wrong = store_settings.stores.model_copy(update={"s3_secret_key": SecretStr("wrong")})
    with pytest.raises(Unavailable):
        await ObjectStore(wrong).put("intruder", b"x")
    place = stores_env["REDIS_URL"].rpartition("@")[2]
    with pytest.raises(redis.AuthenticationError), redis.Redis.from_url(f"unix://{place}") as open_:
        open_.ping()
    host = stores_env["DATABASE_URL"].rpartition("@")[2]
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(f"postgresql://gateway:wrong@{host}")


async def test_a_forgotten_device_leaves_no_checkpoint(owned: Owned) -> None:
    stores = owned.stores
    await stores.objects.put("forget/1", b"sealed")
    await stores.checkpoints.commit(
        owned.id,
        owned.epoch,
        seq=1,
        kind="base",
        base_seq=1,
        object_key="forget/1",
        size=6,
        sha256="00",
        key_id="a",
    )

    await stores.forget_device(owned.id, owned.epoch)

    assert await stores.checkpoints.rows(owned.id) == []
    assert list(await stores.objects.list("forget/")) == []


async def test_a_name_is_taken_once_per_tenant_and_free_again_after_delete(
    stores: Stores, session_name: Callable[[], str]
) -> None:
    name = session_name()
    first = await stores.sessions.create("default", name, {}, DesiredState.STOPPED)
    other = await stores.sessions.create("acme", name, {}, DesiredState.STOPPED)
    with pytest.raises(Conflict):
        await stores.sessions.create("default", name, {}, DesiredState.STOPPED)

    await stores.sessions.delete(first.id)

    with pytest.raises(SessionNotFound):
        await stores.sessions.get("default", name)
    assert (await stores.sessions.get("acme", name)).id == other.id
    again = await stores.sessions.create("default", name, {}, DesiredState.STOPPED)
    assert again.id != first.id


async def test_concurrent_starts_migrate_a_new_database_once(stores_env: dict[str, str]) -> None:
    url = stores_env["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE fresh")
    fresh = url.rpartition("/")[0] + "/fresh"

    applied = await asyncio.gather(*(asyncio.to_thread(migrate, fresh) for _ in range(4)))

    assert sorted(applied)[:3] == [0, 0, 0]
    assert max(applied) >= 1


def test_a_migration_that_died_half_way_does_not_lock_out_the_next(
    stores_env: dict[str, str],
) -> None:
    url = stores_env["DATABASE_URL"]
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO yoyo_lock (locked, ctime, pid) VALUES (1, now(), 999999)")

    assert migrate(url) == 0


async def test_a_restart_of_postgresql_is_survived_by_the_open_pool(
    embedded_stores: EmbeddedStores, stores: Stores, record: SessionRecord
) -> None:
    host = embedded_stores.env()["DATABASE_URL"].rpartition("@")[2]
    port = int(host.partition("/")[0].rpartition(":")[2])
    embedded_stores.postgres.stop()
    try:
        with pytest.raises(Unavailable) as away:
            await stores.sessions.get_by_id(record.id)
        assert away.value.retry_after > 0
        assert not (await stores.health())["postgresql"]["ok"]
    finally:
        embedded_stores.postgres.start(embedded_stores.data_dir / "postgres", port=port)

    async with asyncio.timeout(15):
        while True:
            try:
                found = await stores.sessions.get_by_id(record.id)
                break
            except Unavailable:
                await asyncio.sleep(0.05)
    assert found == record
    assert all(part["ok"] for part in (await stores.health()).values())


async def test_a_pool_that_cannot_reach_postgresql_says_so(store_settings: Settings) -> None:
    nowhere = store_settings.stores.model_copy(
        update={
            "database_url": SecretStr("postgresql://gateway:x@127.0.0.1:1/gateway"),
            "store_timeout_seconds": 0.5,
        }
    )
    with pytest.raises(Unavailable):
        await Database.open(nowhere)
