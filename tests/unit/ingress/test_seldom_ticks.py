"""How often servers and their controller check whether there is something to do."""

from __future__ import annotations

import asyncio
import email.utils
import inspect
import time
from collections import Counter
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import uvicorn
from ray import NodeID
from ray.core.generated import gcs_pb2
from ray.exceptions import RpcError
from ray.serve._private import controller, haproxy, replica
from ray.serve._private.common import DeploymentStatus
from ray.serve._private.default_impl import create_cluster_node_info_cache

from ops.embedded.process import free_ports
from ops.ingress import replica as ingress
from ops.ingress.replica import drain_by_need, poll_at_once, tick_by_need, tick_seldom

_ALIVE: int = getattr(gcs_pb2, "GcsNodeInfo").ALIVE  # noqa: B009 - made when it is imported


async def _app(scope: object, receive: object, send: object) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})  # type: ignore[operator]
    await send({"type": "http.response.body"})  # type: ignore[operator]


async def test_it_answers_with_the_date_and_ends_when_it_is_asked_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(uvicorn.Server, "main_loop", uvicorn.Server.main_loop)
    tick_seldom()
    (port,) = free_ports(1)
    server = uvicorn.Server(uvicorn.Config(_app, port=port, lifespan="off", log_config=None))
    ticks: list[int] = []
    on_tick = server.on_tick

    async def counted(tick: int) -> bool:
        ticks.append(tick)
        return await on_tick(tick)

    monkeypatch.setattr(server, "on_tick", counted)
    began = time.monotonic()
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(30):
        while not server.started:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://127.0.0.1:{port}/")
        date = email.utils.parsedate_to_datetime(answer.headers["date"]).timestamp()
        assert abs(time.time() - date) < 30
        server.should_exit = True
        await asyncio.wait_for(serving, 30)
    assert len(ticks) <= 3 + 2 * (time.monotonic() - began)
    assert all(tick % 10 == 0 for tick in ticks)


async def test_the_controller_ticks_often_while_something_changes_and_for_a_while_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def nothing(*_: object) -> None: ...

    ticks: list[float] = []

    def until_tick(seconds: float) -> float:
        ticks.append(seconds)
        return seconds

    # It looks at the machine's moments, which are of no matter here.
    monkeypatch.setattr(ingress, "until_tick", until_tick)
    monkeypatch.setattr(controller, "CONTROL_LOOP_INTERVAL_S", 1.0)
    monkeypatch.setattr(controller.ServeController, "run_control_loop_step", nothing)
    tick_by_need()
    step: Any = controller.ServeController.run_control_loop_step
    status = SimpleNamespace(status=DeploymentStatus.UPDATING)
    deployed: list[object] = []
    manager = SimpleNamespace(get_deployment_statuses=lambda: deployed)
    nodes = create_cluster_node_info_cache(Gcs())
    nodes.update()
    serve = SimpleNamespace(deployment_state_manager=manager, cluster_node_info_cache=nodes)

    async def interval(steps: int) -> float:
        for _ in range(steps):
            await step(serve, 0.0, 0.0, 0)
        found: float = getattr(controller, "CONTROL_LOOP_INTERVAL_S")  # noqa: B009
        return found

    # Nothing is deployed yet, and then not there yet.
    assert await interval(50) == 0.1
    deployed.append(status)
    assert await interval(50) == 0.1
    status.status = DeploymentStatus.HEALTHY
    assert await interval(20) == 0.1
    assert not ticks
    assert await interval(10) == 1.0
    assert ticks == [1.0] * 10
    # A replica is lost.
    status.status = DeploymentStatus.UNHEALTHY
    assert await interval(1) == 0.1


class Gcs:
    """What Serve asks the GCS about nodes, and how often it did."""

    def __init__(self, nodes: int = 1) -> None:
        self.nodes = {
            NodeID.from_random(): SimpleNamespace(
                node_name="", instance_id="", labels={}, resources_total={}, state=_ALIVE
            )
            for _ in range(nodes)
        }
        self.asked: Counter[str] = Counter()
        self.away = False

    def get_all_node_info(self, timeout: float) -> dict[NodeID, SimpleNamespace]:
        self.asked["nodes"] += 1
        if self.away:
            raise RpcError("away")
        return self.nodes

    def get_all_resource_usage(self, timeout: float) -> Any:
        self.asked["free"] += 1
        return SimpleNamespace(resource_usage_data=SimpleNamespace(batch=[]))

    def get_draining_nodes(self, timeout: float) -> dict[str, int]:
        self.asked["draining"] += 1
        return {}


@pytest.mark.parametrize(("nodes", "asked"), [(1, 0), (2, 5)])
async def test_what_only_matters_among_nodes_is_asked_where_there_are_some(
    monkeypatch: pytest.MonkeyPatch, nodes: int, asked: int
) -> None:
    async def updated(self: Any, *_: object) -> None:
        self.cluster_node_info_cache.update()

    monkeypatch.setattr(controller, "CONTROL_LOOP_INTERVAL_S", 2.0)
    monkeypatch.setattr(controller.ServeController, "run_control_loop_step", updated)
    tick_by_need()
    step: Any = controller.ServeController.run_control_loop_step
    gcs = Gcs(nodes)
    status = SimpleNamespace(status=DeploymentStatus.HEALTHY)
    serve = SimpleNamespace(
        deployment_state_manager=SimpleNamespace(get_deployment_statuses=lambda: [status]),
        cluster_node_info_cache=create_cluster_node_info_cache(gcs),
    )
    for _ in range(30):
        await step(serve, 0.0, 0.0, 0)
    gcs.asked.clear()
    for _ in range(5):
        await step(serve, 0.0, 0.0, 0)
    assert gcs.asked["nodes"] == 5
    assert gcs.asked["free"] == gcs.asked["draining"] == asked
    # Another joins: it is seen in the same look.
    gcs.nodes |= Gcs().nodes
    await step(serve, 0.0, 0.0, 0)
    assert len(serve.cluster_node_info_cache.get_alive_node_ids()) == nodes + 1
    # Something changes: all is asked, one node or not.
    gcs.asked.clear()
    status.status = DeploymentStatus.UPDATING
    for _ in range(2):
        await step(serve, 0.0, 0.0, 0)
    assert gcs.asked["free"] == 2
    # Serve hears itself that the GCS is away.
    gcs.away = True
    with pytest.raises(RpcError):
        await step(serve, 0.0, 0.0, 0)


@pytest.mark.parametrize(("goes", "stays"), [(False, 3.0), (True, 0.0)])
async def test_a_replica_stays_reachable_unless_the_whole_front_goes(
    monkeypatch: pytest.MonkeyPatch, goes: bool, stays: float
) -> None:
    stayed: list[float] = []

    async def usual(_: object, reachable: float) -> None:
        stayed.append(reachable)

    assert inspect.iscoroutinefunction(replica.Replica._drain_behind_haproxy), "as Ray 2.60 has it"
    replicas: Any = type("Replicas", (), {"_drain_behind_haproxy": usual})
    monkeypatch.setattr(replica, "Replica", replicas)
    front: Any = SimpleNamespace(get=lambda: goes)
    drain_by_need(front)
    await replicas()._drain_behind_haproxy(3.0)
    assert stayed == [stays]


@pytest.mark.parametrize("ends", [False, True])
async def test_a_new_haproxy_is_found_when_it_answers_and_its_end_at_once(
    monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    api: Any = type("Api", (haproxy.HAProxyApi,), {})
    monkeypatch.setattr(haproxy, "HAProxyApi", api)
    poll_at_once()
    process = SimpleNamespace(
        pid=7, returncode=None, _stderr_path="/nowhere", _stdout_path="/nowhere"
    )
    answers = iter([None, 6, 6])

    async def running_pid() -> int | None:
        answer = next(answers, 7)
        if ends and answer == 7:
            process.returncode = 1
            return 6
        return answer

    waiting = api._wait_for_hap_availability(SimpleNamespace(_get_running_pid=running_pid), process)
    if ends:
        with pytest.raises(RuntimeError, match="crashed"):
            await waiting
    else:
        await waiting
        # Four polls of its own, and one of Ray's.
        assert next(answers, None) is None
