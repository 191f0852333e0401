"""The supervisor's decisions where sessions share processes: real stores, packs that remember."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest
import pytest_asyncio
from fake_actors import TTL, FakeActors

from actors.packed.packs import PackActors
from actors.packed.reconcile import PackReconciler
from cluster.domain.session import DesiredState, SessionRecord, SessionStatus, pack_name
from cluster.settings import PlacementSettings, Settings, SupervisorSettings
from cluster.stores import Stores
from cluster.stores.workers import NodeReport

A, B = "a" * 56, "b" * 56


class FakePacks(PackActors):
    """A pack that is poked owns what is assigned to it at once."""

    def __init__(self, stores: Stores) -> None:
        self.stores = stores
        self.nodes: dict[int, str] = {}
        self.log: list[tuple[str, int]] = []
        #: These answer nothing and look for nothing.
        self.hung: set[int] = set()

    def __len__(self) -> int:
        return len(self.nodes)

    async def create(self, pack: int, node: str, capacity: int) -> None:
        self.nodes[pack] = node
        self.log.append(("create", pack))
        await self.poke(pack)

    async def poke(self, pack: int) -> None:
        if pack in self.hung:
            return
        for session_id in await self.stores.packs.look(pack, worn=False) or ():
            record = await self.stores.sessions.get_by_id(session_id)
            if not record.node:
                node = self.nodes[pack]
                claim = await self.stores.ownership.claim(session_id, node, "holder", TTL)
                await self.stores.sessions.set_status(
                    session_id, claim.epoch, SessionStatus.WORKING
                )

    async def stop(self, pack: int, session_id: int, patience: float) -> bool:
        self.log.append(("stop", session_id))
        epoch = await self.stores.ownership.newest_epoch(session_id)
        return await self.stores.ownership.release(session_id, epoch, clean=True)

    async def stop_all(self, pack: int, patience: float) -> bool:
        self.log.append(("stop_all", pack))
        return True

    async def answers(self, pack: int, patience: float) -> bool:
        return pack not in self.hung

    async def kill(self, pack: int) -> None:
        self.log.append(("kill", pack))
        self.nodes.pop(pack, None)


@pytest.fixture
def settings(store_settings: Settings) -> Settings:
    env = {"_env_file": os.devnull}
    return Settings(
        stores=store_settings.stores,
        placement=PlacementSettings(sessions_per_actor=4, moves_per_second=1000, **env),  # type: ignore[arg-type]
        supervisor=SupervisorSettings(unresponsive_seconds=0.3, handover_seconds=0.5, **env),  # type: ignore[arg-type]
    )


@pytest_asyncio.fixture
async def cluster(stores: Stores, settings: Settings) -> AsyncIterator[FakeActors]:
    for table in ("sessions", "drained_nodes", "packs"):
        await stores.db.run(f"DELETE FROM {table}", {})  # type: ignore[arg-type]
    nodes = [
        NodeReport(node=node, name=name, address="127.0.0.1", slots=8)
        for node, name in ((A, "node-1"), (B, "node-2"))
    ]
    yield FakeActors(stores, settings, nodes)
    await stores.db.run("DELETE FROM drained_nodes", {})
    await stores.packs.clear()


@pytest.fixture
def packs(stores: Stores) -> FakePacks:
    return FakePacks(stores)


@pytest.fixture
def reconciler(
    stores: Stores, cluster: FakeActors, packs: FakePacks, settings: Settings
) -> PackReconciler:
    async def names() -> set[str]:
        return {pack_name(pack) for pack in packs.nodes}

    cluster.names = names  # type: ignore[method-assign]
    return PackReconciler(stores, cluster, packs, settings)


async def _sessions(stores: Stores, name: Callable[[], str], count: int) -> list[SessionRecord]:
    return [
        await stores.sessions.create("default", name(), {}, DesiredState.RUNNING)
        for _ in range(count)
    ]


async def _now(stores: Stores) -> list[SessionRecord]:
    return await stores.sessions.list(None)


async def test_sessions_get_places_evenly_and_leave_them_when_they_are_not_wanted(
    stores: Stores, reconciler: PackReconciler, packs: FakePacks, session_name: Callable[[], str]
) -> None:
    records = await _sessions(stores, session_name, 6)
    await reconciler.tick()
    now = await _now(stores)
    assert Counter(r.node for r in now) == {A: 3, B: 3}
    assert Counter(r.pack for r in now) == dict.fromkeys(packs.nodes, 3)
    assert all(r.actor_name == f"pack:{r.pack}" for r in now)

    await stores.sessions.set_desired(records[0].id, DesiredState.STOPPED)
    await reconciler.stop(records[0].id)
    epoch = await stores.ownership.newest_epoch(records[1].id)
    await stores.sessions.set_status(records[1].id, epoch, SessionStatus.FAILED)
    await reconciler.tick()
    places = await stores.packs.places()
    assert set(places) == {r.id for r in records[2:]}

    await stores.sessions.set_desired(records[0].id, DesiredState.RUNNING)
    await reconciler.start(records[0].id)
    assert records[0].id in await stores.packs.places()
    assert len(packs.nodes) == 2, "there was room"


async def test_stops_that_hang_hold_up_no_start(
    stores: Stores, reconciler: PackReconciler, packs: FakePacks, session_name: Callable[[], str]
) -> None:
    hanging = await _sessions(stores, session_name, 3)
    await reconciler.tick()
    for record in hanging:
        await stores.sessions.set_desired(record.id, DesiredState.STOPPED)
    hung, stop = asyncio.Event(), packs.stop

    async def hangs(pack: int, session_id: int, patience: float) -> bool:
        await hung.wait()
        return await stop(pack, session_id, patience)

    packs.stop = hangs  # type: ignore[method-assign]
    (missing,) = await _sessions(stores, session_name, 1)
    async with asyncio.timeout(10):
        await reconciler.tick()
    assert missing.id in await stores.packs.places()
    hung.set()
    async with asyncio.timeout(10):
        await reconciler.tick()
    assert set(await stores.packs.places()) == {missing.id}


async def test_what_a_lost_node_had_finds_room_on_the_other(
    stores: Stores,
    cluster: FakeActors,
    reconciler: PackReconciler,
    packs: FakePacks,
    session_name: Callable[[], str],
) -> None:
    await _sessions(stores, session_name, 6)
    await reconciler.tick()
    cluster.cluster = [node for node in cluster.cluster if node.node == A]
    await reconciler.tick()
    assert set(packs.nodes.values()) == {A, B}, "its process was heard of a moment ago"
    await stores.db.run(
        "UPDATE packs SET seen_at = seen_at - interval '5 s', made_at = made_at - interval '5 s' "
        "WHERE node = %(node)s",
        {"node": B},
    )
    await stores.db.run("UPDATE ownership SET node = '' WHERE node = %(node)s", {"node": B})
    await reconciler.tick()
    assert set(packs.nodes.values()) == {A}
    assert len(await stores.packs.places()) == 6
    assert all(r.node == A for r in await _now(stores))


async def test_a_hung_process_is_replaced_and_one_that_only_seemed_so_is_not(
    stores: Stores, reconciler: PackReconciler, packs: FakePacks, session_name: Callable[[], str]
) -> None:
    await _sessions(stores, session_name, 2)
    await reconciler.tick()
    hung, well = sorted(packs.nodes)
    packs.hung = {hung}
    for _ in range(5):
        await asyncio.sleep(0.15)
        await reconciler.tick()
    assert ("kill", hung) in packs.log
    assert ("kill", well) not in packs.log
    assert hung not in (await stores.packs.places()).values()
    assert len(await stores.packs.places()) == 2


async def test_what_cannot_go_on_on_a_node_moves_to_another(
    stores: Stores, reconciler: PackReconciler, packs: FakePacks, session_name: Callable[[], str]
) -> None:
    await _sessions(stores, session_name, 6)
    await reconciler.tick()
    there = [r for r in await _now(stores) if r.node == B]
    others = [r for r in await _now(stores) if r.node == A]
    assert not await reconciler.move(there[0].id, B, cut_off=True), "its neighbours are well"
    assert await reconciler.move(there[0].id, B, cut_off=False), "its disk is full"
    await stores.db.run(
        "UPDATE ownership SET lease_until = clock_timestamp() WHERE session_id = ANY(%(ids)s)",
        {"ids": [r.id for r in there]},
    )
    assert await reconciler.move(there[1].id, B, cut_off=True)
    places = await stores.packs.places()
    assert [packs.nodes[places[r.id]] for r in there] == [A, A, B]
    for record in await _now(stores):
        await stores.sessions.set_status(record.id, record.epoch, SessionStatus.WORKING)
    await reconciler.drain_tick()
    assert await stores.packs.places() == places, "none is moved back to be even: it could not stay"
    await stores.db.run(
        "UPDATE ownership SET lease_until = clock_timestamp() WHERE session_id = ANY(%(ids)s)",
        {"ids": [r.id for r in others]},
    )
    assert not await reconciler.move(there[2].id, B, cut_off=True), "nobody reaches PostgreSQL"


async def test_a_drained_node_is_emptied_cleanly_and_filled_again(
    stores: Stores, reconciler: PackReconciler, packs: FakePacks, session_name: Callable[[], str]
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
    assert len({r.id for r in records}) == len(await stores.packs.places())
    before = len(packs.log)
    await reconciler.drain_tick()
    assert len(packs.log) == before, "nothing moves twice"


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
    assert await stores.ownership.renew_all(epochs, timedelta(seconds=60)) == {third}
    starts = {start.session_id: start for start in await stores.starts.list()}
    assert starts[third].lapsed < -50
    assert starts[first].lapsed > -20
