"""Session actors on a real Ray cluster of two nodes, without a dashboard: kept off nodes, found
hung, replaced.

PostgreSQL is out of their reach: their processes wait for it, which is all that is needed here.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime

import psutil
import pytest
import ray
from ray.cluster_utils import Cluster

from actors.supervision.going_down import GoingDown
from actors.supervision.named_actor import named_actor
from actors.supervision.session_actors import Pulse, SessionActors
from cluster.domain.session import DesiredState, SessionRecord, SessionStatus
from cluster.local.layout import ROOT
from cluster.settings import PlacementSettings, Settings

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
    node = {"num_cpus": 2, "resources": {"session_slots": 10}}
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
def actors(nodes: dict[str, str]) -> SessionActors:
    placement = PlacementSettings(
        _env_file=os.devnull,  # type: ignore[call-arg, unused-ignore]
        namespace=NAMESPACE,
    )
    return SessionActors(Settings(placement=placement))


def test_that_the_cluster_goes_down_is_kept_by_ray(nodes: dict[str, str]) -> None:
    word = GoingDown(NAMESPACE)
    assert not word.get()
    word.set(True)
    assert GoingDown(NAMESPACE).get()
    assert not GoingDown("another").get()
    word.set(False)
    assert not word.get()


def _record(number: int) -> SessionRecord:
    now = datetime.now(UTC)
    return SessionRecord(
        id=number,
        tenant="default",
        name=f"s{number}",
        desired=DesiredState.RUNNING,
        status=SessionStatus.STARTING,
        created_at=now,
        updated_at=now,
    )


def _place(record: SessionRecord) -> tuple[str, int]:
    """Node id and pid of the session's living process."""
    gcs = ray.get_runtime_context().gcs_address
    found = named_actor(gcs, record.actor_name, NAMESPACE, seconds=20)
    assert found is not None
    return found.node, found.pid


async def test_they_keep_off_excluded_nodes_and_are_replaced_when_they_hang(
    actors: SessionActors, nodes: dict[str, str]
) -> None:
    assert {node.name: node.slots for node in await actors.nodes()} == {"node-1": 10, "node-2": 10}
    everywhere = set(nodes.values())
    records = [_record(number) for number in range(1, 4)]
    for record in records:
        await actors.create(record, {nodes["node-2"]})
        assert await actors.pulse(record, 60, everywhere) is Pulse.ANSWERS
    assert {_place(record)[0] for record in records} == {nodes["node-1"]}, "in spite of SPREAD"

    hung = records[0]
    pid = _place(hung)[1]
    os.kill(pid, signal.SIGSTOP)
    assert await actors.pulse(hung, 1, everywhere) is Pulse.SILENT
    await actors.kill(hung)
    assert hung.actor_name not in await actors.names()
    await actors.create(hung, {nodes["node-1"]})
    assert await actors.pulse(hung, 60, everywhere) is Pulse.ANSWERS
    assert _place(hung)[0] == nodes["node-2"]
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=20)
    assert not psutil.pid_exists(pid), "no stopped process stays behind"

    barred = _record(9)
    await actors.create(barred, everywhere)
    assert await actors.pulse(barred, 1, set()) is Pulse.COMING, "nowhere to go: left to Ray"
    assert await actors.pulse(barred, 1, {nodes["node-2"]}) is Pulse.BARRED
    await actors.kill(barred)
    assert barred.actor_name not in await actors.names()
