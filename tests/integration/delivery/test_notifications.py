"""Who delivers is woken by what somebody wants, and comes to what is due whoever else is busy."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from hook_receiver import Receiver, answers_500
from hooked import Hooked

from actors.delivery.dispatcher import Dispatcher
from cluster.settings import Settings
from cluster.stores import Stores
from cluster.stores.event_listener import EventListener

NOWHERE = "http://127.0.0.1:9/"


async def _heard(settings: Settings, stores: Stores, *events: tuple[int, str]) -> list[set[int]]:
    """Sessions that both channels notify of: of deliveries, of everything."""
    heard: list[set[int]] = [set(), set()]
    began = [asyncio.Event(), asyncio.Event()]

    async def listen(nth: int) -> None:
        listener = EventListener(settings.stores, deliveries=nth == 0)
        async for notified in listener.notifications(at_least_every=30):
            began[nth].set()
            heard[nth] |= notified or set()

    tasks = [asyncio.create_task(listen(nth)) for nth in range(2)]
    try:
        for one in began:
            await one.wait()
        for session, type in events:
            await stores.events.append(session, type, {})
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                # What comes over one connection comes in its order, on both channels at once.
                while not heard[1] >= {session for session, _ in events}:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return heard


@pytest.mark.parametrize(
    ("wanted", "type", "woken"),
    [
        (["message"], "message", True),
        (["message"], "message.ack", False),
        (["session.status", " message.ack "], "message.ack", True),
        (["*"], "message.ack", True),
        (["*"], "message.status", False),
        (["*"], "engine.event", False),
        (["*", "message.status"], "message.status", True),
        ([], "message", False),
        (None, "message", False),
        ("message", "message", False),
    ],
)
async def test_an_event_that_no_endpoint_wants_wakes_who_follows_live_only(
    store_settings: Settings,
    stores: Stores,
    hooked: Hooked,
    wanted: Sequence[str] | None,
    type: str,
    woken: bool,
) -> None:
    endpoint: dict[str, Any] = {"url": NOWHERE}
    session = await hooked(endpoint if wanted is None else endpoint | {"events": wanted})
    other = await hooked()
    deliveries, everything = await _heard(
        store_settings, stores, (session.id, type), (other.id, type)
    )
    assert deliveries == ({session.id} if woken else set())
    assert everything == {session.id, other.id}


async def test_what_is_due_is_tried_while_another_session_talks_all_the_time(
    stores: Stores, dispatcher: Dispatcher, hooked: Hooked, receiver: Receiver
) -> None:
    failing = await hooked(
        {
            "url": receiver.url + "failing",
            "events": ["*"],
            "retries": {"policy": "constant", "delaySeconds": 0.3, "attempts": 100},
        }
    )
    busy = await hooked({"url": receiver.url + "busy", "events": ["*"]})

    async def fails(came: Any) -> Any:
        return await answers_500(came) if came.body["session"] == failing.name else None

    receiver.fault = fails
    await stores.events.append(failing.id, "state.change", {})
    async with asyncio.timeout(30):
        tries = 0
        while tries < 4:
            await stores.events.append(busy.id, "state.change", {})
            tries = sum(one.body["session"] == failing.name for one in receiver.tries)
