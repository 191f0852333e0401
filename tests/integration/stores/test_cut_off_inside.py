"""A machine that is cut off in the middle of something holds up nobody else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest

from cluster.domain.session import DesiredState, SessionRecord
from cluster.domain.start_pause import StartPolicy
from cluster.settings import Settings
from cluster.stores import Stores

_POLICY = StartPolicy(
    free=3, first=1, longest=9, give_up_after=9, settled=60, per_second=1000, burst=1000
)
_NODE = "a" * 56
_AWAY = [{"url": "https://away.example"}]


async def _begin(stores: Stores, record: SessionRecord) -> object:
    return await stores.starts.begin(record.id, _NODE, _POLICY)


async def _global(stores: Stores, _: SessionRecord) -> None:
    await stores.webhooks.set_global(_AWAY)


async def _other_session(stores: Stores) -> object:
    other = await stores.sessions.create(
        "default", f"other-{time.monotonic_ns()}", {}, desired=DesiredState.RUNNING
    )
    return await stores.starts.begin(other.id, _NODE, _POLICY)


@pytest.mark.parametrize("work", [_begin, _global])
@pytest.mark.parametrize("answered", range(9))
async def test_others_go_on(
    stores: Stores,
    store_settings: Settings,
    record: SessionRecord,
    monkeypatch: pytest.MonkeyPatch,
    work: Callable[[Stores, SessionRecord], Awaitable[object]],
    answered: int,
) -> None:
    """`answered`: so often it hears from the server; what it would say next is never sent."""
    cut_off = await Stores.open(store_settings)
    wait = psycopg.AsyncConnection.wait
    left = answered
    frozen = asyncio.Event()

    async def until_cut(self: Any, *args: Any, **more: Any) -> Any:
        nonlocal left
        if asyncio.current_task() is task:
            left -= 1
            if left < 0:
                frozen.set()
                await asyncio.sleep(5)
        return await wait(self, *args, **more)

    monkeypatch.setattr(psycopg.AsyncConnection, "wait", until_cut)
    task = asyncio.ensure_future(work(cut_off, record))
    stopped = asyncio.ensure_future(frozen.wait())
    try:
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED, timeout=10)
        async with asyncio.timeout(2):
            await _other_session(stores)
    finally:
        left = 1000
        for one in (task, stopped):
            one.cancel()
        await asyncio.gather(task, stopped, return_exceptions=True)
        await cut_off.close()
        await stores.webhooks.set_global([])
