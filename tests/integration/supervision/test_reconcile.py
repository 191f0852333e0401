"""The supervisor's decisions over real stores, with actors that only remember."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
from fake_actors import FakeActors

from actors.supervision.reconcile import Reconciler
from actors.supervision.session_actors import Pulse
from cluster.client.nodes import Nodes
from cluster.domain.errors import Conflict, NotFound, Unavailable
from cluster.domain.session import DesiredState, SessionRecord, SessionStatus
from cluster.settings import PlacementSettings, Settings, SupervisorSettings
from cluster.stores import Stores
from cluster.stores.workers import NodeReport

A, B = "a" * 56, "b" * 56


@pytest.fixture
def settings(store_settings: Settings) -> Settings:
    return Settings(
        stores=store_settings.stores,
        placement=PlacementSettings(
            _env_file=os.devnull,  # type: ignore[call-arg, unused-ignore]
            starts_per_second=200,
        ),
        supervisor=SupervisorSettings(
            _env_file=os.devnull,  # type: ignore[call-arg, unused-ignore]
            unresponsive_seconds=0.3,
        ),
    )


@pytest_asyncio.fixture
async def actors(stores: Stores, settings: Settings) -> AsyncIterator[FakeActors]:
    await stores.db.run("DELETE FROM sessions", {})
    await stores.db.run("DELETE FROM drained_nodes", {})
    cluster = [
        NodeReport(node=node, name=name, address="127.0.0.1", slots=10)
        for node, name in ((A, "node-1"), (B, "node-2"))
    ]
    yield FakeActors(stores, settings, cluster)
    await stores.db.run("DELETE FROM drained_nodes", {})


@pytest.fixture
def reconciler(stores: Stores, actors: FakeActors, settings: Settings) -> Reconciler:
    return Reconciler(stores, actors, settings)


@pytest.fixture
def nodes(stores: Stores) -> Nodes:
    async def opened() -> Stores:
        return stores

    return Nodes(opened)


async def _sessions(stores: Stores, name: Callable[[], str], count: int) -> list[SessionRecord]:
    return [
        await stores.sessions.create("default", name(), {}, DesiredState.RUNNING)
        for _ in range(count)
    ]


async def test_stopped_is_said_for_an_owner_that_could_not(
    stores: Stores, reconciler: Reconciler, actors: FakeActors, session_name: Callable[[], str]
) -> None:
    (record,) = await _sessions(stores, session_name, 1)
    await reconciler.tick()
    owner = actors.hosted.pop(record.actor_name)
    await stores.sessions.set_desired(record.id, DesiredState.STOPPED)
    await reconciler.tick()
    still = await stores.sessions.get_by_id(record.id)
    assert still.status is SessionStatus.WORKING, "its lease holds: it may be alive"
    epoch = await stores.ownership.newest_epoch(owner.record.id)
    await stores.ownership.release(record.id, epoch, clean=False)
    for _ in range(2):
        await reconciler.tick()
    assert (await stores.sessions.get_by_id(record.id)).status is SessionStatus.STOPPED
    told = await stores.events.list(record.id, after=0, limit=100)
    assert [e.payload["status"] for e in told if e.type == "session.status"] == ["STOPPED"]


async def test_what_is_missing_starts_and_what_is_not_wanted_stops(
    stores: Stores,
    reconciler: Reconciler,
    actors: FakeActors,
    settings: Settings,
    session_name: Callable[[], str],
) -> None:
    records = await _sessions(stores, session_name, 3)
    await reconciler.tick()
    assert set(actors.hosted) == {record.actor_name for record in records}
    await stores.sessions.set_desired(records[0].id, DesiredState.STOPPED)
    await stores.starts.begin(records[1].id, A, settings.start_policy)
    assert await stores.starts.give_up(records[1].id, 0, "enough")
    await reconciler.tick()
    assert set(actors.hosted) == {records[2].actor_name}


async def test_stops_that_hang_hold_up_no_start(
    stores: Stores,
    reconciler: Reconciler,
    actors: FakeActors,
    session_name: Callable[[], str],
) -> None:
    hanging = await _sessions(stores, session_name, 3)
    await reconciler.tick()
    for record in hanging:
        await stores.sessions.set_desired(record.id, DesiredState.STOPPED)
    stop, hung = actors.stop, asyncio.Event()

    async def hangs(record: SessionRecord, patience: float) -> bool:
        await hung.wait()
        return await stop(record, patience)

    actors.stop = hangs  # type: ignore[method-assign]
    (missing,) = await _sessions(stores, session_name, 1)
    for _ in range(2):
        async with asyncio.timeout(10):
            await reconciler.tick()
        assert missing.actor_name in actors.hosted
    hung.set()
    async with asyncio.timeout(10):
        await reconciler.tick()
        await reconciler.tick()
    assert set(actors.hosted) == {missing.actor_name}
    assert sorted(verb for verb, _ in actors.log) == ["create"] * 4 + ["stop"] * 3


async def test_a_drain_moves_one_after_the_other_and_keeps_the_node_empty(
    stores: Stores,
    reconciler: Reconciler,
    actors: FakeActors,
    nodes: Nodes,
    session_name: Callable[[], str],
) -> None:
    await _sessions(stores, session_name, 6)
    await reconciler.tick()
    hosted = sorted(actors.hosted.values(), key=lambda hosted: hosted.record.id)
    there = [one.record.name for one in hosted if one.node == B]
    assert len(there) == 3
    actors.log.clear()
    worker = await nodes.drain("node-2")
    draining = asyncio.create_task(reconciler.drain_tick())
    left = [sessions async for sessions in nodes.leaving(worker)]
    await draining
    assert left[-1] == 0
    assert actors.log == [(verb, name) for name in there for verb in ("stop", "create")]
    assert {one.node for one in actors.hosted.values()} == {A}
    # A new one, and a node of the same name that came back under a new id.
    actors.cluster[1] = NodeReport(node="c" * 56, name="node-2", address="127.0.0.1", slots=10)
    await _sessions(stores, session_name, 1)
    await reconciler.tick()
    assert {one.node for one in actors.hosted.values()} == {A}
    assert await nodes.undrain("node-2") == "node-2"
    await _sessions(stores, session_name, 1)
    await reconciler.tick()
    assert {one.node for one in actors.hosted.values()} == {A, "c" * 56}


async def test_a_drain_leaves_alone_what_nobody_owns(
    stores: Stores,
    reconciler: Reconciler,
    actors: FakeActors,
    nodes: Nodes,
    session_name: Callable[[], str],
) -> None:
    (record,) = await _sessions(stores, session_name, 1)
    await reconciler.tick()
    await stores.db.run("UPDATE ownership SET lease_until = now() - interval '1 s'", {})
    node = actors.hosted[record.actor_name].node
    worker = await nodes.drain(node)
    actors.log.clear()
    await reconciler.drain_tick()
    assert actors.log == [], "its process died: whoever starts next is kept off the node"
    assert [left async for left in nodes.leaving(worker)] == [0]


async def test_a_process_that_ray_restarted_on_a_drained_node_is_moved(
    stores: Stores,
    reconciler: Reconciler,
    actors: FakeActors,
    nodes: Nodes,
    settings: Settings,
    session_name: Callable[[], str],
) -> None:
    (record,) = await _sessions(stores, session_name, 1)
    await reconciler.tick()
    await nodes.drain("node-2")
    actors.hosted[record.actor_name].node = B
    assert (await stores.starts.begin(record.id, B, settings.start_policy)).parked
    await reconciler.tick()
    assert actors.hosted[record.actor_name].node == A
    assert actors.log[-2:] == [("kill", record.name), ("create", record.name)]


@pytest.mark.parametrize(
    ("pulse", "replaced"), [(Pulse.SILENT, True), (Pulse.ANSWERS, False), (Pulse.COMING, False)]
)
async def test_a_hung_process_without_a_lease_is_replaced(
    stores: Stores,
    reconciler: Reconciler,
    actors: FakeActors,
    session_name: Callable[[], str],
    pulse: Pulse,
    replaced: bool,
) -> None:
    hung, well = await _sessions(stores, session_name, 2)
    actors.dead_on_arrival = {hung.name}
    actors.pulses[hung.name] = pulse
    for _ in range(5):
        await reconciler.tick()
        await asyncio.sleep(0.1)
    killed = ("kill", hung.name) in actors.log
    assert killed is replaced
    assert ("kill", well.name) not in actors.log


async def test_a_drain_without_room_is_refused(
    stores: Stores,
    reconciler: Reconciler,
    actors: FakeActors,
    nodes: Nodes,
    session_name: Callable[[], str],
) -> None:
    await _sessions(stores, session_name, 6)
    actors.cluster[0] = NodeReport(node=A, name="node-1", address="127.0.0.1", slots=4)
    await reconciler.tick()
    with pytest.raises(Conflict, match=r"3 sessions would have to move .* room for 1"):
        await nodes.drain("node-2")
    actors.cluster[0] = NodeReport(node=A, name="node-1", address="127.0.0.1", slots=0)
    await reconciler.tick()
    with pytest.raises(Conflict, match="no other node"):
        await nodes.drain(B[:8])
    with pytest.raises(NotFound, match="node-1, node-2"):
        await nodes.drain("node-3")
    with pytest.raises(Conflict, match="not drained"):
        await nodes.undrain("node-2")


async def test_a_session_moves_away_from_a_node_that_alone_does_not_reach_postgresql(
    stores: Stores, reconciler: Reconciler, actors: FakeActors, session_name: Callable[[], str]
) -> None:
    records = await _sessions(stores, session_name, 4)
    await reconciler.tick()
    cut_off = [r for r in records if actors.hosted[r.actor_name].node == B]
    assert len(cut_off) == 2
    # While others of the node renew their leases, it is not the node.
    assert not await reconciler.move(cut_off[0].id, B, cut_off=True)
    await stores.db.run("UPDATE ownership SET lease_until = clock_timestamp()", {})
    for record in cut_off:
        assert await reconciler.move(record.id, B, cut_off=True)
    assert {hosted.node for hosted in actors.hosted.values()} == {A}


async def test_after_an_outage_for_everybody_sessions_stay_where_they_are(
    stores: Stores, reconciler: Reconciler, actors: FakeActors, session_name: Callable[[], str]
) -> None:
    (record,) = await _sessions(stores, session_name, 1)
    await reconciler.tick()

    async def away() -> list[NodeReport]:
        raise Unavailable("PostgreSQL is away")

    actors.nodes = away  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        await reconciler.tick()
    await stores.db.run("UPDATE ownership SET lease_until = clock_timestamp()", {})
    node = actors.hosted[record.actor_name].node
    assert not await reconciler.move(record.id, node, cut_off=True)
    assert await reconciler.move(record.id, node, cut_off=False)


async def test_no_session_moves_away_from_the_only_node(
    stores: Stores, reconciler: Reconciler, actors: FakeActors, session_name: Callable[[], str]
) -> None:
    actors.cluster = actors.cluster[:1]
    (record,) = await _sessions(stores, session_name, 1)
    await reconciler.tick()
    assert not await reconciler.move(record.id, A, cut_off=False)
