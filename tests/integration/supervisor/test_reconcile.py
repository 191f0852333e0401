"""The supervisor's decisions where each session has its process: real stores, actors that only
remember. `test_shared_hosts.py` has what is different where sessions share processes."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
from fake_actors import TTL, FakeActors
from waiting import stays

from actors.hosts.create_actor import HostActor
from actors.supervisor.host_actors import ProbeResult
from actors.supervisor.reconcile import Reconciler
from client.nodes import Nodes
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
            moves_per_second=1000,
            rebalance=False,
        ),
        supervisor=SupervisorSettings(
            _env_file=os.devnull,  # type: ignore[call-arg, unused-ignore]
            unresponsive_seconds=0.3,
            handover_seconds=0.5,
        ),
    )


@pytest_asyncio.fixture
async def actors(stores: Stores, settings: Settings) -> AsyncIterator[FakeActors]:
    for table in ("sessions", "drained_nodes", "hosts"):
        await stores.db.run(f"DELETE FROM {table}", {})
    cluster = [
        NodeReport(node=node, name=name, address="127.0.0.1", slots=10)
        for node, name in ((A, "node-1"), (B, "node-2"))
    ]
    yield FakeActors(stores, settings, cluster)
    for table in ("drained_nodes", "hosts"):
        await stores.db.run(f"DELETE FROM {table}", {})


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
    await actors.kill(record.actor_name)
    await stores.sessions.set_desired(record.id, DesiredState.STOPPED)
    await reconciler.tick()
    still = await stores.sessions.get_by_id(record.id)
    assert still.status is SessionStatus.WORKING, "its lease holds: it may be alive"
    epoch = await stores.ownership.newest_epoch(record.id)
    await stores.ownership.release(record.id, epoch, clean=False)
    for _ in range(2):
        await reconciler.tick()
    assert (await stores.sessions.get_by_id(record.id)).status is SessionStatus.STOPPED
    emitted = await stores.events.list(record.id, after=0, limit=100)
    assert [e.payload["status"] for e in emitted if e.type == "session.status"] == ["STOPPED"]


async def test_what_is_missing_starts_and_what_is_not_wanted_stops(
    stores: Stores,
    reconciler: Reconciler,
    actors: FakeActors,
    settings: Settings,
    session_name: Callable[[], str],
) -> None:
    records = await _sessions(stores, session_name, 3)
    await reconciler.tick()
    assert set(actors.made) == {record.actor_name for record in records}
    await stores.sessions.set_desired(records[0].id, DesiredState.STOPPED)
    await stores.starts.begin(records[1].id, A, settings.start_policy)
    assert await stores.starts.give_up(records[1].id, 0, "enough")
    await reconciler.tick()
    assert set(actors.made) == {records[2].actor_name}


async def test_it_is_quiet_while_all_is_well_on_the_only_node(
    stores: Stores,
    reconciler: Reconciler,
    actors: FakeActors,
    session_name: Callable[[], str],
) -> None:
    both, actors.cluster = actors.cluster, actors.cluster[:1]
    one, other = await _sessions(stores, session_name, 2)
    await reconciler.tick()
    assert not reconciler.quiet, "there was something to do"
    await reconciler.tick()
    assert reconciler.quiet

    await stores.sessions.set_desired(one.id, DesiredState.STOPPED)
    await reconciler.tick()
    assert not reconciler.quiet, "one is to end"
    async with asyncio.timeout(10):
        while not reconciler.quiet:
            await reconciler.tick()
    assert (await stores.sessions.get_by_id(one.id)).status is SessionStatus.STOPPED

    epoch = await stores.ownership.newest_epoch(other.id)
    await stores.ownership.release(other.id, epoch, clean=False)
    await reconciler.tick()
    assert not reconciler.quiet, "nobody owns it"

    actors.cluster = both
    await actors.kill(other.actor_name)
    for _ in range(3):
        await reconciler.tick()
    assert not reconciler.quiet, "another node may be lost"


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

    async def hangs(name: str, session_id: int, patience: float) -> bool:
        await hung.wait()
        return await stop(name, session_id, patience)

    actors.stop = hangs  # type: ignore[method-assign]
    (missing,) = await _sessions(stores, session_name, 1)
    for _ in range(2):
        async with asyncio.timeout(10):
            await reconciler.tick()
        assert missing.actor_name in actors.made
    hung.set()
    async with asyncio.timeout(10):
        await reconciler.tick()
        await reconciler.tick()
    assert set(actors.made) == {missing.actor_name}
    assert sorted(verb for verb, _ in actors.log) == ["create"] * 4 + ["kill"] * 3 + ["stop"] * 3


async def test_a_drain_hands_over_and_keeps_the_node_empty(
    stores: Stores,
    reconciler: Reconciler,
    actors: FakeActors,
    nodes: Nodes,
    session_name: Callable[[], str],
) -> None:
    await _sessions(stores, session_name, 6)
    await reconciler.tick()
    there = [name for name, node in actors.node_of.items() if node == B]
    assert len(there) == 3
    actors.log.clear()
    worker = await nodes.drain("node-2")
    draining = asyncio.create_task(reconciler.drain_tick())
    left = [sessions async for sessions in nodes.remaining(worker)]
    await draining
    assert left[-1] == 0
    assert Counter(verb for verb, _ in actors.log) == dict.fromkeys(("stop", "kill", "create"), 3)
    assert {name for verb, name in actors.log if verb == "create"} == set(there)
    assert set(actors.node_of.values()) == {A}
    # A new one, and a node of the same name that came back under a new id.
    actors.cluster[1] = NodeReport(node="c" * 56, name="node-2", address="127.0.0.1", slots=10)
    await _sessions(stores, session_name, 1)
    await reconciler.tick()
    assert set(actors.node_of.values()) == {A}
    assert await nodes.undrain("node-2") == "node-2"
    await _sessions(stores, session_name, 1)
    await reconciler.tick()
    assert set(actors.node_of.values()) == {A, "c" * 56}


async def test_one_session_is_handed_over(
    stores: Stores,
    reconciler: Reconciler,
    actors: FakeActors,
    nodes: Nodes,
    session_name: Callable[[], str],
) -> None:
    first, second = await _sessions(stores, session_name, 2)
    await reconciler.tick()
    before = actors.node_of[first.actor_name]
    other = A if before == B else B
    actors.log.clear()
    await reconciler.hand_over(first.id, before)
    assert actors.node_of == {first.actor_name: other, second.actor_name: other}
    assert Counter(verb for verb, _ in actors.log) == dict.fromkeys(("stop", "kill", "create"), 1)
    # Asked twice, as a call is that was carried to two supervisors.
    await reconciler.hand_over(first.id, before)
    assert actors.node_of[first.actor_name] == other
    await nodes.drain(before)
    with pytest.raises(Conflict, match="no other node"):
        await reconciler.hand_over(first.id, other)
    await stores.sessions.set_desired(first.id, DesiredState.STOPPED)
    with pytest.raises(Conflict, match="not running"):
        await reconciler.hand_over(first.id, other)


async def test_what_nobody_owns_leaves_a_drained_node_without_being_asked(
    stores: Stores,
    reconciler: Reconciler,
    actors: FakeActors,
    nodes: Nodes,
    session_name: Callable[[], str],
) -> None:
    (record,) = await _sessions(stores, session_name, 1)
    await reconciler.tick()
    await stores.db.run("UPDATE ownership SET lease_until = now() - interval '1 s'", {})
    node = actors.node_of[record.actor_name]
    worker = await nodes.drain(node)
    actors.log.clear()
    await reconciler.drain_tick()
    name = record.actor_name
    assert actors.log == [("kill", name), ("create", name)], "its process died: nobody is asked"
    assert actors.node_of[name] != node
    assert [left async for left in nodes.remaining(worker)] == [0]


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
    actors.node_of[record.actor_name] = B
    await stores.db.run("UPDATE ownership SET lease_until = now() - interval '1 s'", {})
    assert (await stores.starts.begin(record.id, B, settings.start_policy)).held
    await reconciler.tick()
    assert actors.node_of[record.actor_name] == A
    assert [verb for verb, _ in actors.log[-2:]] == ["kill", "create"]


@pytest.mark.parametrize(
    ("probed", "replaced"),
    [(ProbeResult.SILENT, True), (ProbeResult.ANSWERS, False), (ProbeResult.COMING, False)],
)
async def test_a_hung_process_without_a_lease_is_replaced(
    stores: Stores,
    reconciler: Reconciler,
    actors: FakeActors,
    session_name: Callable[[], str],
    probed: ProbeResult,
    replaced: bool,
) -> None:
    hung, well = await _sessions(stores, session_name, 2)
    actors.dead_on_arrival = {hung.actor_name}
    actors.probes[hung.actor_name] = probed
    for _ in range(5):
        await reconciler.tick()
        await asyncio.sleep(0.1)
    killed = ("kill", hung.actor_name) in actors.log
    assert killed is replaced
    assert ("kill", well.actor_name) not in actors.log


async def test_a_drain_may_wait_for_a_node_that_comes_up(
    stores: Stores,
    reconciler: Reconciler,
    actors: FakeActors,
    nodes: Nodes,
    session_name: Callable[[], str],
) -> None:
    """In an upgrade the one that was stopped before is back, and not known yet."""
    await _sessions(stores, session_name, 2)
    late = actors.cluster.pop(0)
    await reconciler.tick()
    drained = asyncio.create_task(nodes.drain("node-2", patience=30))
    await stays(lambda: not drained.done(), seconds=0.6)
    actors.cluster.insert(0, late)
    await reconciler.tick()
    assert (await drained).name == "node-2"


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
    with pytest.raises(Conflict, match=r"4 sessions would have to move .* room for 2"):
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
    cut_off = [r for r in records if actors.node_of[r.actor_name] == B]
    assert len(cut_off) == 2
    # While others of the node renew their leases, it is not the node.
    assert not await reconciler.move(cut_off[0].id, B, cut_off=True)
    lapse = "UPDATE ownership SET lease_until = clock_timestamp() WHERE node = %(node)s"
    await stores.db.run(lapse, {"node": B})
    for record in cut_off:
        epoch = await stores.ownership.newest_epoch(record.id)
        assert not await stores.ownership.has_left(record.id, epoch)
        assert await reconciler.move(record.id, B, cut_off=True, closed=epoch)
        # What its owner, which reaches no PostgreSQL, could not write down.
        assert await stores.ownership.has_left(record.id, epoch)
    assert set(actors.node_of.values()) == {A}


async def test_after_an_outage_for_everybody_sessions_stay_where_they_are(
    stores: Stores, reconciler: Reconciler, actors: FakeActors, session_name: Callable[[], str]
) -> None:
    (record,) = await _sessions(stores, session_name, 1)
    await reconciler.tick()

    async def away() -> list[NodeReport]:
        raise Unavailable("PostgreSQL is unreachable")

    actors.nodes = away  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        await reconciler.tick()
    await stores.db.run("UPDATE ownership SET lease_until = clock_timestamp()", {})
    node = actors.node_of[record.actor_name]
    assert not await reconciler.move(record.id, node, cut_off=True)
    assert await reconciler.move(record.id, node, cut_off=False)


async def test_no_session_moves_away_from_the_only_node(
    stores: Stores, reconciler: Reconciler, actors: FakeActors, session_name: Callable[[], str]
) -> None:
    actors.cluster = actors.cluster[:1]
    (record,) = await _sessions(stores, session_name, 1)
    await reconciler.tick()
    assert not await reconciler.move(record.id, A, cut_off=False)


async def test_one_that_ray_restarted_elsewhere_is_where_it_is(
    stores: Stores, reconciler: Reconciler, actors: FakeActors, session_name: Callable[[], str]
) -> None:
    """It came back through Ray alone; the supervisor neither ends it nor makes another."""
    (record,) = await _sessions(stores, session_name, 1)
    await reconciler.tick()
    (lost,) = (n for n in actors.cluster if n.node == actors.node_of[record.actor_name])
    (other,) = (n for n in actors.cluster if n is not lost)
    actors.cluster = [other]
    await stores.db.run("UPDATE ownership SET lease_until = now() - interval '1 s'", {})
    actors.log.clear()
    await reconciler.tick()
    assert actors.log == [], "Ray has it, and its name"
    await stores.ownership.claim(record.id, other.node, "holder", TTL)
    actors.node_of[record.actor_name] = other.node
    await reconciler.tick()
    await reconciler.drain_tick()
    assert actors.log == []
    # With its actor gone as well it gets another place.
    actors.made.clear()
    await reconciler.tick()
    assert actors.log == [("create", record.actor_name)]


async def test_a_node_that_joins_gets_its_share_by_clean_handovers(
    stores: Stores,
    actors: FakeActors,
    settings: Settings,
    session_name: Callable[[], str],
) -> None:
    settings.placement.rebalance = True
    both, actors.cluster = actors.cluster, actors.cluster[:1]
    reconciler = Reconciler(stores, actors, settings)
    await _sessions(stores, session_name, 6)
    await reconciler.tick()
    assert set(actors.node_of.values()) == {A}
    actors.cluster = both
    actors.log.clear()
    await reconciler.tick()
    await reconciler.drain_tick()
    assert Counter(actors.node_of.values()) == {A: 3, B: 3}
    assert Counter(verb for verb, _ in actors.log) == dict.fromkeys(("stop", "kill", "create"), 3)
    actors.log.clear()
    await reconciler.tick()
    await reconciler.drain_tick()
    assert actors.log == [], "nothing moves twice"


async def test_hosts_of_the_version_before_end(
    stores: Stores, reconciler: Reconciler, actors: FakeActors, session_name: Callable[[], str]
) -> None:
    actors.made["pack:7"] = HostActor(name="pack:7", label="", node=A, capacity=4, host=7)
    actors.node_of["pack:7"] = A
    (record,) = await _sessions(stores, session_name, 1)
    await reconciler.tick()
    assert set(actors.made) == {record.actor_name}
