"""What the backend and Redis are told of nodes."""

from __future__ import annotations

import asyncio
from typing import Any

import jwt
from hook_receiver import Receiver, answers_500, eventually
from pydantic import SecretStr

from actors.workers.agent import Node, WorkerAgent
from cluster.settings import BackendSettings, Settings
from cluster.stores import Stores

SECRET = "a secret of more than thirty-two characters"


def node(id: str) -> Node:
    return Node(id=id, name=f"name-{id}", address="10.0.0.1", slots=7)


async def test_a_node_registers_beats_misses_others_and_says_goodbye(
    stores: Stores, hook_settings: Settings, receiver: Receiver
) -> None:
    hook_settings.backend = BackendSettings(
        url=receiver.url, jwt_secret=SecretStr(SECRET), heartbeat_seconds=0.1
    )
    alive = [node("a"), node("b")]

    async def nodes() -> list[Node]:
        return alive

    def told(event: str) -> list[dict[str, Any]]:
        return [r.body for r in receiver.taken if r.body["event"] == event]

    async def missed() -> bool:
        return bool(told("worker.lost"))

    receiver.fault = answers_500
    agent = WorkerAgent(stores, hook_settings, node("a"), nodes)
    running = asyncio.create_task(agent.run())
    await asyncio.sleep(0.3)
    receiver.fault = None

    async def beating() -> bool:
        return len(told("worker.heartbeat")) >= 2

    await eventually(beating)
    assert len(told("worker.registered")) == 1, "tried again until the backend took it"
    alive.pop()
    await eventually(missed)
    health = await stores.cache.worker_get("a")
    agent.stop()
    await running

    assert [body["worker"]["id"] for body in told("worker.lost")] == ["b"]
    assert told("worker.stopped")[0]["worker"]["id"] == "a"
    beat = told("worker.heartbeat")[-1]
    assert beat["worker"]["slots"] == 7
    assert health is not None
    for reading in (beat["health"], health):
        assert reading["memory"]["totalMb"] > 0
        assert reading["sessions"] == 0
        assert {"cpuPercent", "network", "load"} <= reading.keys()
    claims = jwt.decode(
        receiver.taken[-1].headers["Authorization"].removeprefix("Bearer "),
        SECRET,
        algorithms=["HS256"],
    )
    assert claims["sub"] == "worker:a"
