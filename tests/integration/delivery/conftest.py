"""Real stores, a receiver, and what delivers to it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from hook_receiver import Receiver, receiving
from hooked import Hooked, running_dispatcher

from actors.delivery.dispatcher import Dispatcher
from cluster.domain.errors import Unavailable
from cluster.domain.session import DesiredState, SessionRecord
from cluster.settings import Settings, WebhookSettings
from cluster.stores import Stores


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dispatchers look after what other tests left in these stores, apps too, which ask sessions'
    owners: they must not join the cluster of a test that runs beside this one."""

    def none(settings: Settings) -> None:
        raise Unavailable("there is no cluster", retry_after=1)

    monkeypatch.setattr("client.gateway.ensure_ray", none)


@pytest.fixture
def patience() -> float:
    """Seconds that a dispatcher waits for an answer: a busy machine is no receiver that hangs, and
    what was not answered in time is sent again. Tests of those that hang have less."""
    return 10.0


@pytest.fixture
def hook_settings(store_settings: Settings, patience: float) -> Settings:
    store_settings.webhooks = WebhookSettings(
        _env_file=os.devnull,
        allow="127.0.0.0/8",
        timeout_seconds=patience,
        poll_seconds=0.2,
        breaker_pause_seconds=0.1,
        breaker_longest_seconds=0.3,
    )
    return store_settings


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


@pytest_asyncio.fixture
async def dispatcher(hook_settings: Settings) -> AsyncIterator[Dispatcher]:
    async with running_dispatcher(hook_settings) as one:
        yield one


@pytest.fixture
def hooked(stores: Stores, session_name: Callable[[], str]) -> Hooked:
    """Make a session with webhooks; by default one that wants everything."""

    async def make(*hooks: dict[str, Any]) -> SessionRecord:
        config = {"webhooks": list(hooks), "metadata": {"customer": "c1"}}
        return await stores.sessions.create("default", session_name(), config, DesiredState.STOPPED)

    return make
