"""The supervisor's decisions where sessions share processes; real stores, actors that remember."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest
import pytest_asyncio
from fake_actors import FakeActors

from actors.supervisor.host_actors import ProbeResult
from actors.supervisor.reconcile import Reconciler
from cluster.domain.session import DesiredState, SessionRecord, SessionStatus, host_name
from cluster.settings import PlacementSettings, Settings, SupervisorSettings
from cluster.stores import Stores
from cluster.stores.workers import NodeReport

A, B = "a" * 56, "b" * 56


@pytest.fixture
def settings(store_settings: Settings) -> Settings:
    env = {"_env_file": os.devnull}
    return Settings(
        stores=store_settings.stores,
        placement=PlacementSettings(sessions_per_actor=4, moves_per_second=1000, **env),  # type: ignore[arg-type]
        supervisor=SupervisorSettings(unresponsive_seconds=0.3, handover_seconds=0.5, **env),  # type: ignore[arg-type]
    )


@pytest_asyncio.fixture
async def actors(stores: Stores, settings: Settings) -> AsyncIterator[FakeActors]:
    for table in ("sessions", "drained_nodes", "hosts"):
        await stores.db.run(f"DELETE FROM {table}", {})
    nodes = [
        NodeReport(node=node, name=name, address="127.0.0.1", slots=8)
        for node, name in ((A, "node-1"), (B, "node-2"))
    ]
    yield FakeActors(stores, settings, nodes)
    await stores.db.run("DELETE FROM drained_nodes", {})
    await stores.db.run("DELETE FROM hosts", {})


@pytest.fixture
def reconciler(stores: Stores, actors: FakeActors, settings: Settings) -> Reconciler:
    return Reconciler(stores, actors, settings)


async def _sessions(stores: Stores, name: Callable[[], str], count: int) -> list[SessionRecord]:
    return [
        await stores.sessions.create("default", name(), {}, DesiredState.RUNNING)
        for _ in range(count)
    ]


async def _now(stores: Stores) -> list[SessionRecord]:
    return await stores.sessions.list(None)


async def test_sessions_get_places_evenly_and_leave_them_when_they_are_not_wanted(
    stores: Stores, reconciler: Reconciler, actors: FakeActors, session_name: Callable[[], str]
) -> None:
    records = await _sessions(stores, session_name, 6)
    await reconciler.tick()
    now = await _now(stores)
    assert Counter(r.node for r in now) == {A: 3, B: 3}
    assert Counter(r.actor_name for r in now) == dict.fromkeys(actors.made, 3)
    assert all(r.actor_name == f"host:{r.host}" for r in now)

    await stores.sessions.set_desired(records[0].id, DesiredState.STOPPED)
    await reconciler.stop(records[0].id)
    epoch = await stores.ownership.newest_epoch(records[1].id)
    await stores.sessions.set_status(records[1].id, epoch, SessionStatus.FAILED)
    await reconciler.tick()
    places = await stores.hosts.assignments()
    assert set(places) == {r.id for r in records[2:]}

    await stores.sessions.set_desired(records[0].id, DesiredState.RUNNING)
    await reconciler.start(records[0].id)
    assert records[0].id in await stores.hosts.assignments()
    assert len(actors.made) == 2, "there was room"


async def test_stops_that_hang_hold_up_no_start(
    stores: Stores, reconciler: Reconciler, actors: FakeActors, session_name: Callable[[], str]
) -> None:
    hanging = await _sessions(stores, session_name, 3)
    await reconciler.tick()
    for record in hanging:
        await stores.sessions.set_desired(record.id, DesiredState.STOPPED)
    hung, stop = asyncio.Event(), actors.stop

    async def hangs(name: str, session_id: int, patience: float) -> bool:
        await hung.wait()
        return await stop(name, session_id, patience)

    actors.stop = hangs  # type: ignore[method-assign]
    (missing,) = await _sessions(stores, session_name, 1)
    async with asyncio.timeout(10):
        await reconciler.tick()
    assert missing.id in await stores.hosts.assignments()
    hung.set()
    async with asyncio.timeout(10):
        await reconciler.tick()
    assert set(await stores.hosts.assignments()) == {missing.id}


async def test_what_a_lost_node_had_finds_room_on_the_other(
    stores: Stores,
    reconciler: Reconciler,
    actors: FakeActors,
    session_name: Callable[[], str],
) -> None:
    await _sessions(stores, session_name, 6)
    await reconciler.tick()
    actors.cluster = [node for node in actors.cluster if node.node == A]
    await reconciler.tick()
    assert set(actors.node_of.values()) == {A, B}, "its leases were renewed a moment ago"
    await stores.db.run(
        "UPDATE ownership SET lease_until = clock_timestamp() + interval '1 s' "
        "WHERE node = %(node)s",
        {"node": B},
    )
    await reconciler.tick()
    assert set(actors.node_of.values()) == {A}
    assert len(await stores.hosts.assignments()) == 6
    assert all(r.node == A for r in await _now(stores))


async def test_a_hung_process_is_replaced_and_one_that_only_seemed_so_is_not(
    stores: Stores, reconciler: Reconciler, actors: FakeActors, session_name: Callable[[], str]
) -> None:
    await _sessions(stores, session_name, 2)
    await reconciler.tick()
    hung, well = sorted(actors.made)
    actors.dead_on_arrival = {hung}
    actors.probes[hung] = ProbeResult.SILENT
    lapse = "UPDATE ownership SET lease_until = now() - interval '2 s' WHERE node = %(node)s"
    await stores.db.run(lapse, {"node": actors.node_of[hung]})
    for _ in range(6):
        await asyncio.sleep(0.15)
        await reconciler.tick()
    assert ("kill", hung) in actors.log
    assert ("kill", well) not in actors.log
    assert hung not in {r.actor_name for r in await _now(stores)}
    assert len(await stores.hosts.assignments()) == 2


async def test_a_session_that_gets_nowhere_in_a_process_that_answers_moves_alone(
    stores: Stores, actors: FakeActors, settings: Settings, session_name: Callable[[], str]
) -> None:
    settings.supervisor.ownerless_seconds = 0.3
    reconciler = Reconciler(stores, actors, settings)
    stuck, well = await _sessions(stores, session_name, 2)
    actors.cluster = actors.cluster[:1]
    await reconciler.tick()
    before = (await stores.hosts.assignments())[stuck.id]
    lapse = "UPDATE ownership SET lease_until = now() - interval '2 s' WHERE session_id = %(id)s"
    await stores.db.run(lapse, {"id": stuck.id})
    async with asyncio.timeout(20):
        while (places := await stores.hosts.assignments())[stuck.id] == before:
            await asyncio.sleep(0.1)
            await reconciler.tick()
    assert places[well.id] == before
    assert not any(verb == "kill" for verb, _ in actors.log)


async def test_what_cannot_go_on_on_a_node_moves_to_another(
    stores: Stores, reconciler: Reconciler, actors: FakeActors, session_name: Callable[[], str]
) -> None:
    await _sessions(stores, session_name, 6)
    await reconciler.tick()
    there = [r for r in await _now(stores) if r.node == B]
    assert not await reconciler.move(there[0].id, B, cut_off=True), "its neighbours are well"
    assert await reconciler.move(there[0].id, B, cut_off=False), "its disk is full"
    await stores.db.run(
        "UPDATE ownership SET lease_until = clock_timestamp() WHERE session_id = ANY(%(ids)s)",
        {"ids": [r.id for r in there]},
    )
    assert await reconciler.move(there[1].id, B, cut_off=True)
    places = await stores.hosts.assignments()
    assert [actors.node_of[host_name(places[r.id])] for r in there] == [A, A, B]
    for record in await _now(stores):
        await stores.sessions.set_status(record.id, record.epoch, SessionStatus.WORKING)
    await reconciler.drain_tick()
    assert await stores.hosts.assignments() == places, (
        "none is moved back to be even: it could not stay"
    )
    await stores.db.run("UPDATE ownership SET lease_until = clock_timestamp()", {})
    assert not await reconciler.move(there[2].id, B, cut_off=True), "nobody reaches PostgreSQL"


async def test_a_drained_node_is_emptied_cleanly_and_filled_again(
    stores: Stores, reconciler: Reconciler, actors: FakeActors, session_name: Callable[[], str]
) -> None:
    records = await _sessions(stores, session_name, 6)
    await reconciler.tick()
    await stores.drained.add("node-2")
    await reconciler.drain_tick()
    now = await _now(stores)
    assert {r.node for r in now} == {A}
    assert sorted(r.epoch for r in now) == [1, 1, 1, 2, 2, 2]
    await stores.drained.remove("node-2")
    await reconciler.drain_tick()
    assert Counter(r.node for r in await _now(stores)) == {A: 3, B: 3}
    assert len({r.id for r in records}) == len(await stores.hosts.assignments())
    before = len(actors.log)
    await reconciler.drain_tick()
    assert len(actors.log) == before, "nothing moves twice"


async def test_leases_of_many_sessions_are_renewed_in_one_statement(
    stores: Stores, session_name: Callable[[], str]
) -> None:
    records = await _sessions(stores, session_name, 3)
    epochs = {
        r.id: (await stores.ownership.claim(r.id, A, "holder", timedelta(seconds=5))).epoch
        for r in records
    }
    first, second, third = (r.id for r in records)
    await stores.ownership.claim(first, B, "other", timedelta(seconds=5))
    await stores.ownership.release(second, epochs[second], clean=True)
    assert set(await stores.ownership.renew_all(epochs, timedelta(seconds=60))) == {third}
    starts = {start.session_id: start for start in await stores.starts.list()}
    assert starts[third].lapsed < -50
    assert starts[first].lapsed > -20
