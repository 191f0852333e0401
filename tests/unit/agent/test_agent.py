"""A node's agent outlives whatever its heartbeats meet."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import SecretStr

from actors import endless
from actors.agent import agent as module
from actors.agent.agent import Node, WorkerAgent
from actors.delivery.sinks.sink import SinkError
from cluster.settings import BackendSettings, Settings
from cluster.stores import Stores

_NODE = Node(id="a", name="node-a", address="127.0.0.1", slots=1)


class Heartbeats:
    """The stores of an agent: its heartbeats are counted."""

    def __init__(self) -> None:
        self.count = 0
        self.three = asyncio.Event()
        self.cache = SimpleNamespace(worker_put=self._heartbeat)
        self.workers = SimpleNamespace(list=self._none)

    async def _heartbeat(self, *_: Any) -> None:
        self.count += 1
        if self.count >= 3:
            self.three.set()

    async def _none(self) -> list[Any]:
        return []


def _at_once(_: Any) -> bool:
    return True


async def _alive() -> list[Node]:
    return [_NODE]


def _agent(heartbeats: Heartbeats, alive: Any = _alive) -> WorkerAgent:
    settings = Settings()
    settings.backend = BackendSettings(
        url="http://127.0.0.1:9/", jwt_secret=SecretStr("s" * 32), heartbeat_seconds=0.02
    )
    return WorkerAgent(cast(Stores, heartbeats), settings, _NODE, alive)


async def _goes_on(agent: WorkerAgent, heartbeats: Heartbeats) -> None:
    running = asyncio.create_task(agent.run())
    try:
        await asyncio.wait(
            {running, asyncio.ensure_future(heartbeats.three.wait())},
            timeout=20,
            return_when=asyncio.FIRST_COMPLETED,
        )
    finally:
        running.cancel()
    assert heartbeats.count >= 3


@pytest.mark.parametrize("error", [SinkError("backend: 503"), RuntimeError("anything else")])
async def test_it_goes_on_whatever_the_backend_does(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def refused(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("actors.agent.agent.Backend.send", refused)
    monkeypatch.setattr(module, "wait_exponential_jitter", lambda **_: 0)
    monkeypatch.setattr(module, "stop_after_attempt", lambda _: _at_once)
    heartbeats = Heartbeats()
    await _goes_on(_agent(heartbeats), heartbeats)


async def test_it_goes_on_when_a_heartbeat_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    async def taken(*_: Any, **__: Any) -> None:
        return

    async def fails() -> list[Node]:
        raise RuntimeError("no nodes")

    monkeypatch.setattr("actors.agent.agent.Backend.send", taken)
    heartbeats = Heartbeats()
    await _goes_on(_agent(heartbeats, fails), heartbeats)


async def test_work_that_fails_is_begun_again_until_it_returns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(endless, "_FIRST", 0.001)
    tries = 0

    async def work() -> None:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise KeyError(tries)

    await asyncio.wait_for(endless.endless("test", work), 5)
    assert tries == 4
