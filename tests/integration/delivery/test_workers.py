"""What nodes report to the backend and to Redis."""

from __future__ import annotations

import asyncio
from typing import Any

import jwt
from hook_receiver import Receiver, answers_500, eventually
from pydantic import SecretStr

from actors.agent.agent import Node, WorkerAgent
from cluster.settings import BackendSettings, Settings
from cluster.stores import Stores
from cluster.stores.workers import NodeReport

SECRET = "a secret of more than thirty-two characters"


def node(id: str) -> Node:
    return Node(id=id, name=f"name-{id}", address="10.0.0.1", slots=7)


async def test_a_node_registers_sends_heartbeats_misses_others_and_says_goodbye(
    stores: Stores, hook_settings: Settings, receiver: Receiver
) -> None:
    hook_settings.backend = BackendSettings(
        url=receiver.url, jwt_secret=SecretStr(SECRET), heartbeat_seconds=0.1
    )
    alive = [node("a"), node("b")]

    async def nodes() -> list[Node]:
        return alive

    def reported(event: str) -> list[dict[str, Any]]:
        return [r.body for r in receiver.taken if r.body["event"] == event]

    async def missed() -> bool:
        return bool(reported("worker.lost"))

    receiver.fault = answers_500
    agent = WorkerAgent(stores, hook_settings, node("a"), nodes)
    running = asyncio.create_task(agent.run())
    await asyncio.sleep(0.3)
    receiver.fault = None

    async def heartbeats_sent() -> bool:
        return len(reported("worker.heartbeat")) >= 2

    await eventually(heartbeats_sent)
    assert len(reported("worker.registered")) == 1, "tried again until the backend took it"
    alive.pop()
    await eventually(missed)
    health = await stores.cache.worker_get("a")
    agent.stop()
    await running

    assert [body["worker"]["id"] for body in reported("worker.lost")] == ["b"]
    assert reported("worker.stopped")[0]["worker"]["id"] == "a"
    heartbeat = reported("worker.heartbeat")[-1]
    assert heartbeat["worker"]["slots"] == 7
    assert health is not None
    for reading in (heartbeat["health"], health):
        assert reading["memory"]["totalMb"] > 0
        assert reading["sessions"] == 0
        assert {"cpuPercent", "network", "load"} <= reading.keys()
    claims = jwt.decode(
        receiver.taken[-1].headers["Authorization"].removeprefix("Bearer "),
        SECRET,
        algorithms=["HS256"],
    )
    assert claims["sub"] == "worker:a"


async def test_the_table_of_workers_marks_the_lost_and_welcomes_them_back(stores: Stores) -> None:
    def report(id: str) -> NodeReport:
        return NodeReport(node=id, name=f"name-{id}", address="10.0.0.1", slots=3)

    await stores.workers.replace([report("w1"), report("w2")])
    first = {w.node: w for w in await stores.workers.list()}
    assert first.keys() >= {"w1", "w2"}
    assert (first["w1"].address, first["w1"].slots, first["w1"].sessions) == ("10.0.0.1", 3, 0)

    await stores.workers.replace([report("w1")])
    assert "w2" not in {w.node for w in await stores.workers.list()}
    (lost,) = [w for w in await stores.workers.lost() if w.node == "w2"]
    assert lost.lost_at is not None
    assert lost.started_at == first["w2"].started_at
    (alive,) = [w for w in await stores.workers.list() if w.node == "w1"]
    assert alive.seen_at > first["w1"].seen_at

    await stores.workers.replace([report("w1"), report("w2")])
    assert "w2" in {w.node for w in await stores.workers.list()}
    await stores.workers.replace([])


async def test_the_health_of_a_node_in_redis_ends_with_its_heartbeats(
    stores: Stores, hook_settings: Settings
) -> None:
    hook_settings.backend = BackendSettings(heartbeat_seconds=0.1)

    async def nodes() -> list[Node]:
        return [node("brief")]

    agent = WorkerAgent(stores, hook_settings, node("brief"), nodes)
    running = asyncio.create_task(agent.run())

    async def reported() -> bool:
        return await stores.cache.worker_get("brief") is not None

    async def gone() -> bool:
        return await stores.cache.worker_get("brief") is None

    await eventually(reported)
    agent.stop()
    await running
    assert await eventually(gone, 5)
