"""An endpoint that is configured anew keeps what waited for it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hook_receiver import Receiver, answers_500, eventually
from hooked import Hooked, running_dispatcher

from cluster.domain.session import SessionRecord
from cluster.settings import Settings
from cluster.stores import Stores
from cluster.stores.webhooks import BreakerRule, WebhookState
from cluster.webhooks.endpoint import Endpoint

ONCE = {"policy": "constant", "delaySeconds": 0, "attempts": 0}


def at(url: str, **more: Any) -> dict[str, Any]:
    return {"url": f"http://127.0.0.1:9/{url}", "events": ["*"]} | more


async def say(stores: Stores, session: SessionRecord, count: int) -> None:
    for n in range(count):
        await stores.events.append(session.id, "state.change", {"n": n})


async def own(stores: Stores, session: SessionRecord) -> dict[str, WebhookState]:
    """By the end of the URL."""
    found = await stores.webhooks.states(session.id)
    return {one.url.split("/", 3)[3]: one for one in found if one.origin == "session"}


@pytest.mark.parametrize(
    ("before", "after", "waiting"),
    [
        ([at("a?token=1")], [at("a?token=2")], {"a?token=2": 5}),
        ([at("a")], [at("a", customHeaders=[{"name": "X-A", "value": "1"}])], {"a": 5}),
        ([at("a")], [at("a", events=["message"], hmac={"key": "k"})], {"a": 5}),
        ([at("a"), at("b")], [at("b"), at("a")], {"a": 5, "b": 5}),
        ([at("a"), at("b")], [at("b2"), at("a")], {"a": 5, "b2": 5}),
        ([at("a"), at("b")], [at("x"), at("y")], {"x": 5, "y": 5}),
        ([at("a"), at("b")], [at("new"), at("a"), at("b")], {"new": 0, "a": 5, "b": 5}),
        ([at("a"), at("b")], [at("b")], {"b": 5}),
        (
            [at("a", events=["message"]), at("a", events=["*"])],
            [at("a", events=["*"]), at("a", events=["message"])],
            {"a": 5},
        ),
    ],
)
async def test_what_waits_goes_along_with_every_change(
    stores: Stores,
    hooked: Hooked,
    before: list[dict[str, Any]],
    after: list[dict[str, Any]],
    waiting: dict[str, int],
) -> None:
    session = await hooked(*before)
    keys = {one.key for one in (await own(stores, session)).values()}
    await say(stores, session, 5)
    await stores.sessions.update_config(session.id, {"webhooks": after})

    found = await own(stores, session)
    assert {url: one.behind for url, one in found.items()} == waiting
    kept = {one.key for one in found.values() if one.behind}
    assert kept <= keys, "an endpoint keeps its name"
    states = await stores.webhooks.states(session.id)
    assert len({one.key for one in states}) == len(states) == len(after)


async def test_the_new_url_gets_what_waited_and_the_dead_letters(
    stores: Stores, hook_settings: Settings, hooked: Hooked, receiver: Receiver
) -> None:
    old = receiver.url.replace("/hook", "/old?token=1")
    session = await hooked({"url": old, "events": ["*"], "retries": ONCE})
    receiver.fault = answers_500
    await say(stores, session, 1)
    async with running_dispatcher(hook_settings):

        async def dead() -> str | None:
            (state,) = await stores.webhooks.states(session.id)
            return state.key if state.dead_letters else None

        key = await eventually(dead)
    await say(stores, session, 3)
    new = receiver.url.replace("/hook", "/new?token=2")
    await stores.sessions.update_config(
        session.id, {"webhooks": [{"url": new, "events": ["*"], "retries": ONCE}]}
    )
    (state,) = await stores.webhooks.states(session.id)
    assert (state.key, state.dead_letters, state.behind, state.attempts) == (key, 1, 3, 0)

    receiver.fault = None
    assert await stores.webhooks.replay(
        session.id, key, replay_key=f"replay_1/{key}", after=0, until=1
    )
    async with running_dispatcher(hook_settings):
        await receiver.until_taken(4)

        async def resolved() -> bool:
            states = await stores.webhooks.states(session.id)
            return len(states) == 1 and not states[0].dead_letters

        await eventually(resolved)
    assert sorted(one.seq for one in receiver.taken) == [1, 2, 3, 4]
    assert {one.path for one in receiver.taken} == {"/new"}


async def test_a_lease_of_the_old_url_counts_no_more(stores: Stores, hooked: Hooked) -> None:
    session = await hooked(at("leased"))
    await say(stores, session, 2)
    hook = await _taken(stores, session)
    await stores.sessions.update_config(session.id, {"webhooks": [at("b")]})
    await stores.webhooks.release(hook, 2)
    assert (await own(stores, session))["b"].behind == 2


@pytest.mark.parametrize("broken", ["request_headers", "of"])
async def test_a_delivery_that_crashes_is_counted_and_ends_as_a_dead_letter(
    stores: Stores,
    hook_settings: Settings,
    hooked: Hooked,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
) -> None:
    hook_settings.webhooks.breaker_failures = 1000
    hook_settings.webhooks.longest_pause_seconds = 0.05
    quick = {"policy": "constant", "delaySeconds": 0.01, "attempts": 2}
    session = await hooked({"url": receiver.url, "events": ["*"], "retries": quick})
    await say(stores, session, 2)

    def fails(*_: Any, **__: Any) -> Any:
        raise TypeError("a surprise")

    monkeypatch.setattr(Endpoint, broken, fails)
    async with running_dispatcher(hook_settings):

        async def dead_lettered() -> bool:
            (state,) = await stores.webhooks.states(session.id)
            if broken == "of":
                # Without its own policy, that of who configures none.
                return state.attempts >= 3
            return state.dead_letters == 2 and state.behind == 0

        await eventually(dead_lettered, 60)
    log = await stores.webhooks.deliveries(session.id, key=None, before=None, limit=100)
    assert log
    assert all("a surprise" in one.error for one in log)


async def _taken(stores: Stores, session: SessionRecord) -> Any:
    (hook,) = await stores.webhooks.take(
        lease="l",
        lease_for=timedelta(seconds=20),
        most=1,
        room={},
        room_each=1,
        rule=BreakerRule(failures=5, pause=timedelta(seconds=5), longest=timedelta(seconds=60)),
        latest=timedelta(seconds=600),
        sessions=[session.id],
    )
    return hook
