"""Actors of hosts on a real Ray cluster of two nodes, without a dashboard: kept off nodes, found
hung, replaced.

PostgreSQL is out of their reach: their processes wait for it, which is all that is needed here.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psutil
import pytest
import ray
from ray.cluster_utils import Cluster

from actors.hosts.create_actor import HostActor
from actors.supervisor.going_down import GoingDown
from actors.supervisor.host_actors import HostActors, ProbeResult
from actors.supervisor.named_actor import named_actor
from cluster.settings import PlacementSettings, Settings
from ops.local.layout import ROOT

NAMESPACE = "gateway-test"


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Ids of the nodes by name."""
    patch = pytest.MonkeyPatch()
    patch.setenv("PYTHONPATH", str(ROOT))
    patch.setenv("GATEWAY_ENV_FILE", os.devnull)
    patch.setenv("GATEWAY_DATA_DIR", str(tmp_path_factory.mktemp("data")))
    patch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    patch.delenv("RAY_ADDRESS", raising=False)
    node: dict[str, Any] = {"num_cpus": 2, "resources": {"session_slots": 10}}
    cluster = Cluster(
        initialize_head=True,
        head_node_args={**node, "node_name": "node-1", "include_dashboard": False},
    )
    try:
        cluster.add_node(**node, node_name="node-2")
        ray.init(address=cluster.address, namespace=NAMESPACE, log_to_driver=False)
        yield {found["NodeName"]: found["NodeID"] for found in ray.nodes()}
    finally:
        ray.shutdown()
        cluster.shutdown()
        patch.undo()


@pytest.fixture
def actors(nodes: dict[str, str]) -> HostActors:
    placement = PlacementSettings(
        _env_file=os.devnull,  # type: ignore[call-arg, unused-ignore]
        namespace=NAMESPACE,
    )
    return HostActors(Settings(placement=placement))


def test_that_the_cluster_goes_down_is_kept_by_ray(nodes: dict[str, str]) -> None:
    word = GoingDown(NAMESPACE)
    assert not word.get()
    word.set(True)
    assert GoingDown(NAMESPACE).get()
    assert not GoingDown("another").get()
    word.set(False)
    assert not word.get()


def _actor(number: int, node: str) -> HostActor:
    return HostActor(
        name=f"session:default:s{number}", label=f"s{number}", node=node, session_id=number
    )


def _place(actor: HostActor) -> tuple[str, int]:
    """Node id and pid of the session's living process."""
    gcs = ray.get_runtime_context().gcs_address
    found = named_actor(gcs, actor.name, NAMESPACE, seconds=20)
    assert found is not None
    return found.node, found.pid


def _exported_classes() -> int:
    worker: Any = ray._private.worker.global_worker
    return len(worker.gcs_client.internal_kv_keys(b"ActorClass:", b"fun"))


async def _gone(actors: HostActors, name: str) -> None:
    """An ended actor keeps its name for a moment."""
    async with asyncio.timeout(20):
        while name in await actors.names():  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def test_they_live_where_they_shall_and_are_replaced_when_they_hang(
    actors: HostActors, nodes: dict[str, str]
) -> None:
    assert {node.name: node.slots for node in await actors.nodes()} == {"node-1": 10, "node-2": 10}
    everywhere = set(nodes.values())
    made = [_actor(number, nodes["node-1"]) for number in range(1, 4)]
    for actor in made:
        await actors.create(actor, ())
        assert await actors.probe(actor.name, 60, everywhere) is ProbeResult.ANSWERS
    assert {_place(actor)[0] for actor in made} == {nodes["node-1"]}, "in spite of SPREAD"
    assert _exported_classes() == 1, "not one for each actor: Ray keeps them all"

    hung = made[0]
    pid = _place(hung)[1]
    os.kill(pid, signal.SIGSTOP)
    assert await actors.probe(hung.name, 1, everywhere) is ProbeResult.SILENT
    await actors.kill(hung.name)
    await _gone(actors, hung.name)
    await actors.create(replace(hung, node=nodes["node-2"]), {nodes["node-1"]})
    assert await actors.probe(hung.name, 60, everywhere) is ProbeResult.ANSWERS
    assert _place(hung)[0] == nodes["node-2"]
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=20)
    assert not psutil.pid_exists(pid), "no stopped process stays behind"

    # Made for a node that is gone by now: Ray places it elsewhere, but not where it shall not be.
    stray = _actor(8, "e" * 56)
    await actors.create(stray, {nodes["node-1"]})
    assert await actors.probe(stray.name, 60, everywhere) is ProbeResult.ANSWERS
    assert _place(stray)[0] == nodes["node-2"]

    # Its node is full, and it may go nowhere else.
    full = HostActor(name="host:9", label="", node=nodes["node-1"], capacity=8, host=9)
    await actors.create(full, ())
    assert await actors.probe(full.name, 60, everywhere) is ProbeResult.ANSWERS
    barred = _actor(9, nodes["node-1"])
    await actors.create(barred, {nodes["node-2"]})
    assert await actors.probe(barred.name, 1, set()) is ProbeResult.COMING, (
        "nowhere to go: left to Ray"
    )
    assert await actors.probe(barred.name, 1, {nodes["node-2"]}) is ProbeResult.BARRED
    await actors.kill(barred.name)
    await _gone(actors, barred.name)
    await actors.kill(full.name)

    # Nowhere at all: Ray gives it up, and its name is free for the supervisor's next try.
    lost = _actor(10, "e" * 56)
    await actors.create(lost, everywhere)
    await _gone(actors, lost.name)
    assert await actors.probe(lost.name, 1, everywhere) is ProbeResult.COMING


async def test_a_shared_one_lives_on_its_node_only(
    actors: HostActors, nodes: dict[str, str]
) -> None:
    shared = HostActor(name="host:1", label="host 1", node=nodes["node-2"], capacity=4, host=1)
    await actors.create(shared, ())
    assert await actors.probe(shared.name, 60, set(nodes.values())) is ProbeResult.ANSWERS
    assert _place(shared)[0] == nodes["node-2"]
    await actors.keep_only(set())
    await _gone(actors, shared.name)
