"""Sessions with a webhook, and dispatchers of this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from hook_receiver import Receiver

from actors.delivery.dispatcher import Dispatcher
from cluster.domain.session import SessionRecord
from cluster.settings import Settings
from cluster.stores import Stores

Hooked = Callable[..., Awaitable[SessionRecord]]

QUICK = {"policy": "constant", "delaySeconds": 0.05, "attempts": 100}


def hook(receiver: Receiver, **more: Any) -> dict[str, Any]:
    return {"url": receiver.url, "events": ["*"], "retries": QUICK} | more


async def say(stores: Stores, session: SessionRecord, count: int, start: int = 0) -> None:
    for n in range(start, start + count):
        await stores.events.append(session.id, "state.change", {"n": n})


@asynccontextmanager
async def running_dispatcher(settings: Settings) -> AsyncIterator[Dispatcher]:
    """One with connections of its own, as another process would have them."""
    stores = await Stores.open(settings)
    dispatcher = Dispatcher(stores, settings)
    task = asyncio.create_task(dispatcher.run())
    try:
        yield dispatcher
    finally:
        dispatcher.stop()
        await task
        await stores.close()
