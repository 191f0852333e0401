"""No part of a session fails unnoticed: it goes on, is made up for, or the session starts anew."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import psycopg
import pytest
from neonize.proto import Neonize_pb2 as pb
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message
from unplugged import Running, message, start
from waiting import stays

from actors.session import state_machine as machine
from actors.session.device_store_manager import DeviceStoreManager
from actors.session.owner import SessionBroken
from cluster.domain.errors import Unavailable
from cluster.domain.session import SessionRecord, SessionStatus
from cluster.settings import Settings
from cluster.stores import Stores
from cluster.stores.sessions import SessionStore


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_an_error_in_a_handler_costs_its_event_only(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed = running.session._owner.claimed
    assert claimed is not None
    recorded = claimed.recorder
    received = recorded.received

    async def fails(event: object) -> None:
        if "poison" in str(event):
            raise ZeroDivisionError
        await received(event)  # type: ignore[arg-type]

    monkeypatch.setattr(recorded, "received", fails)
    running.hears(17, message(Message(conversation="poison")))
    await running.still_hears()
    assert await running.count("quarantine", "error LIKE 'ZeroDivisionError%%'") == 1


@pytest.mark.parametrize("part", ["pump", "outbox", "lease keeper", "checkpointer"])
async def test_a_part_that_ends_ends_the_session_which_is_started_anew(
    record: SessionRecord, stores: Stores, settings: Settings, part: str
) -> None:
    running = start(record, stores, settings)
    await running.works()
    names = {"pump": "events:", "outbox": "outbox", "lease keeper": "lease"}
    name = names.get(part, part)
    task = next(t for t in asyncio.all_tasks() if t.get_name().startswith(name))
    _break(task)
    with pytest.raises(SessionBroken):
        await asyncio.wait_for(running.task, 30)
    # It let go cleanly, and is to start again.
    found = await stores.sessions.get_by_id(record.id)
    assert found.status is SessionStatus.STARTING
    assert "ZeroDivisionError" in found.reason
    # Nothing is left of it that keeps the next one in this process away.
    second = start(record, stores, settings, owned_before=running.session.epoch)
    await second.works()
    second.session.stop()
    await second.task


def _break(task: asyncio.Task[object]) -> None:
    """As an error that nobody foresaw, at the place where the task waits."""
    waiting = task._fut_waiter  # type: ignore[attr-defined]
    assert waiting is not None
    if not waiting.done():
        waiting.set_exception(ZeroDivisionError("nobody foresaw it"))


async def test_a_status_that_could_not_be_stored_is_stored_as_soon_as_it_can(
    running: Running, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All of its beginning is stored: `works` says what it is, not what is written down.
    await running.still_hears()
    away = True
    store = SessionStore.set_status

    async def set_status(*arguments: object, **named: object) -> SessionStatus:
        if away:
            raise Unavailable("away", retry_after=1)
        return await store(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(SessionStore, "set_status", set_status)
    running.hears(12, pb.Disconnected(status=True))
    running.hears(3, pb.Connected(status=True))

    async def refused() -> bool:
        waiting = len(running.session._owner._unreported)
        return waiting >= 2 and running.session.status is SessionStatus.WORKING

    await until(refused)
    before = await running.count("events", "type = 'session.status'")
    away = False

    async def emitted() -> bool:
        return await running.count("events", "type = 'session.status'") == before + 2

    await until(emitted)
    found = await stores.sessions.get_by_id(running.session.record.id)
    assert found.status is SessionStatus.WORKING


async def test_a_server_that_does_not_write_for_a_moment_costs_no_session(
    running: Running, store_settings: Settings
) -> None:
    """Read-only, as each managed failover shows itself: the lease task, the outbox and the pump go
    on after it."""
    session = running.session
    url = store_settings.stores.database_url.get_secret_value()
    await asyncio.to_thread(_read_only, url, "on")
    try:
        running.hears(17, message(Message(conversation="in between")))
        running.hears(12, pb.Disconnected(status=True))
        await stays(lambda: not running.task.done(), 2)
    finally:
        await asyncio.to_thread(_read_only, url, "off")
    running.hears(3, pb.Connected(status=True))
    await running.still_hears()
    assert await running.count("messages", "body = 'in between'") == 1
    assert session.describe()["lease_held"]


async def test_a_ban_that_ends_is_waited_out(running: Running) -> None:
    """Nothing connects before its time, and nobody has to start the session again."""
    first = running.clients[-1]
    running.hears(8, pb.TemporaryBan(Code=pb.TemporaryBan.BLOCKED_BY_USERS, Expire=0))
    await asyncio.wait_for(running.task, 20)
    assert running.session.status is SessionStatus.FAILED
    assert running.clients == [first]


async def test_a_ban_of_a_second(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_AFTER_A_BAN", 0.5)
    first = running.clients[-1]
    running.hears(8, pb.TemporaryBan(Code=pb.TemporaryBan.BLOCKED_BY_USERS, Expire=1))

    async def banned() -> bool:
        return "banned" in running.session.reason

    await until(banned)
    assert running.session.status is SessionStatus.STARTING
    await stays(lambda: running.clients == [first], 0.8)
    await running.works()
    assert len(running.clients) == 2
    await running.still_hears()


async def test_a_former_owner_that_replaces_the_connection_is_outlived(
    record: SessionRecord,
    stores: Stores,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "_CONTESTED", 0.2)
    await stores.ownership.claim(record.id, "gone", "elsewhere", timedelta(seconds=0.2))
    running = start(record, stores, settings)
    await running.works()
    for connections in (2, 3):
        running.hears(7, pb.StreamReplaced())

        async def again(connections: int = connections) -> bool:
            return (
                len(running.clients) == connections
                and running.session.status is SessionStatus.WORKING
            )

        await until(again)
    # A third time it is somebody who holds the same device.
    running.hears(7, pb.StreamReplaced())
    await asyncio.wait_for(running.task, 20)
    assert running.session.status is SessionStatus.FAILED


async def test_an_object_store_that_is_away_is_waited_for(
    record: SessionRecord,
    stores: Stores,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away = True
    opened = DeviceStoreManager.open

    async def restore(self: DeviceStoreManager, *, handed_over: bool) -> asyncio.Task[None]:
        if away:
            raise Unavailable("the S3 server is away", retry_after=1)
        return await opened(self, handed_over=handed_over)

    monkeypatch.setattr(DeviceStoreManager, "open", restore)
    running = start(record, stores, settings)

    async def reported() -> bool:
        found = await stores.sessions.get_by_id(record.id)
        return found.reason == "the S3 server is away"

    await until(reported)
    await stays(lambda: running.session.status is SessionStatus.STARTING, 1.5)
    assert running.session.describe()["lease_held"]
    away = False
    await running.works()
    running.session.stop()
    await running.task


def _read_only(url: str, switch: str) -> None:
    """For every connection that is made from now on; those there are end."""
    with psycopg.connect(url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = {switch}')
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'gateway'"
        )
