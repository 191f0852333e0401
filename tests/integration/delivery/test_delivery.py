"""What a receiver of webhooks may rely on, whatever it does itself."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from datetime import timedelta

import pytest
from aiohttp import web
from hook_receiver import Received, Receiver, answers_500, eventually
from hooked import Hooked, hook, running_dispatcher, say
from pydantic import SecretStr
from waiting import stays

from actors.delivery.dispatcher import Dispatcher
from cluster.settings import GlobalWebhookSettings, Settings
from cluster.stores import Stores


@pytest.mark.parametrize("patience", [1.0])
async def test_every_event_arrives_in_order_at_a_receiver_that_fails_hangs_and_goes_away(
    stores: Stores, dispatcher: Dispatcher, hooked: Hooked, receiver: Receiver
) -> None:
    sessions = [await hooked(hook(receiver)) for _ in range(6)]

    async def misbehave(came: Received) -> web.StreamResponse | None:
        match came.nth % 7:
            case 2:
                return web.Response(status=500)
            case 4 if came.nth < 30:
                await asyncio.sleep(1.5)  # beyond the dispatcher's patience
                return web.Response(status=503)
            case 5:
                return web.Response(status=429, headers={"Retry-After": "0"})
        return None

    receiver.fault = misbehave
    await asyncio.gather(*(say(stores, session, 20) for session in sessions))

    await receiver.until_taken(120, 60)
    assert receiver.by_session() == {s.name: list(range(1, 21)) for s in sessions}


async def test_two_dispatchers_share_the_work_and_deliver_nothing_twice(
    stores: Stores,
    hook_settings: Settings,
    dispatcher: Dispatcher,
    hooked: Hooked,
    receiver: Receiver,
) -> None:
    sessions = [await hooked(hook(receiver)) for _ in range(30)]
    async with running_dispatcher(hook_settings) as other:
        await asyncio.gather(*(say(stores, session, 10) for session in sessions))
        await receiver.until_taken(300)
        await stays(
            lambda: receiver.by_session() == {s.name: list(range(1, 11)) for s in sessions}, 0.3
        )
        assert dispatcher.delivered > 0
        assert other.delivered > 0


async def test_what_comes_during_a_delivery_or_is_more_than_a_turn_waits_for_no_poll(
    stores: Stores, hook_settings: Settings, hooked: Hooked, receiver: Receiver
) -> None:
    hook_settings.webhooks.poll_seconds = 600
    session = await hooked(hook(receiver))
    answers = asyncio.Event()

    async def hold(came: Received) -> web.StreamResponse | None:
        await answers.wait()
        return None

    async def tried() -> bool:
        return bool(receiver.tries)

    receiver.fault = hold
    async with running_dispatcher(hook_settings):
        await say(stores, session, 1)
        await eventually(tried)
        await say(stores, session, 210, start=1)
        answers.set()
        await receiver.until_taken(211, 60)
    assert receiver.by_session() == {session.name: list(range(1, 212))}


async def test_a_dispatcher_that_is_stopped_between_two_reads_ends_without_a_poll(
    stores: Stores, hook_settings: Settings, hooked: Hooked, receiver: Receiver
) -> None:
    hook_settings.webhooks.poll_seconds = 600
    session = await hooked(hook(receiver))
    for n in range(10):
        async with asyncio.timeout(20), running_dispatcher(hook_settings):
            await say(stores, session, 20, start=20 * n)
            await receiver.until_taken(20 * n + 1)
            await asyncio.sleep(0.003 * n)


@pytest.mark.parametrize("patience", [0.5])
async def test_a_dead_endpoint_slows_nobody_else(
    stores: Stores, dispatcher: Dispatcher, hooked: Hooked, receiver: Receiver
) -> None:
    async def hang(came: Received) -> web.StreamResponse | None:
        if came.path == "/dead":
            await asyncio.sleep(5)
        return None

    receiver.fault = hang
    dead = receiver.url.replace("/hook", "/dead")
    both = [await hooked(hook(receiver), hook(receiver, url=dead)) for _ in range(20)]
    await asyncio.gather(*(say(stores, session, 5) for session in both))
    await receiver.until_taken(100, 10)
    assert {r.path for r in receiver.taken} == {"/hook"}
    tried = sum(r.path == "/dead" for r in receiver.tries)
    assert tried < 60, "an open circuit lets single probes through"


async def test_a_receiver_that_is_back_gets_what_waited_at_once(
    stores: Stores, hook_settings: Settings, hooked: Hooked, receiver: Receiver
) -> None:
    hook_settings.webhooks.concurrency_per_endpoint = 2
    retries = {"policy": "linear", "delaySeconds": 600, "attempts": 100}
    sessions = [await hooked(hook(receiver, retries=retries)) for _ in range(12)]
    receiver.fault = answers_500
    for session in sessions:
        await say(stores, session, 2)
    async with running_dispatcher(hook_settings):

        async def open_circuit() -> bool:
            (state,) = await stores.webhooks.states(sessions[0].id)
            return state.open_until is not None

        await eventually(open_circuit)
        receiver.fault = None
        # One that was not tried yet is the probe; the others' own pauses last ten minutes.
        await receiver.until_taken(24)
    assert receiver.by_session() == {s.name: [1, 2] for s in sessions}


async def test_what_a_receiver_needs_to_trust_a_request(
    stores: Stores, dispatcher: Dispatcher, hooked: Hooked, receiver: Receiver
) -> None:
    key = "a secret"
    headers = [{"name": "X-Mine", "value": "yes"}, {"name": "Host", "value": "evil"}]
    session = await hooked(hook(receiver, hmac={"key": key}, customHeaders=headers))
    await say(stores, session, 1)
    await receiver.until_taken(1)

    got = receiver.taken[0]
    sent, body = got.headers, got.body
    assert sent["X-Webhook-Hmac-Algorithm"] == "sha512"
    assert sent["X-Webhook-Hmac"] == hmac.new(key.encode(), got.raw, hashlib.sha512).hexdigest()
    signed = f"{sent['webhook-id']}.{sent['webhook-timestamp']}.".encode() + got.raw
    timed = base64.b64encode(hmac.digest(key.encode(), signed, "sha256")).decode()
    assert sent["webhook-signature"] == f"v1,{timed}"
    assert sent["X-Webhook-Request-Id"] == sent["webhook-id"] == body["id"]
    assert sent["X-Mine"] == "yes"
    assert sent["Host"] != "evil"
    assert body["event"] == "state.change"
    assert body["payload"] == {"n": 0}
    assert body["metadata"] == {"customer": "c1"}
    assert body["environment"]["engine"] == "GOWS"


async def test_only_wanted_events_are_delivered(
    stores: Stores, dispatcher: Dispatcher, hooked: Hooked, receiver: Receiver
) -> None:
    session = await hooked(hook(receiver, events=["session.status"]))
    await say(stores, session, 3)
    await stores.events.append(session.id, "session.status", {"status": "WORKING"})
    await receiver.until_taken(1)
    await stays(lambda: [r.seq for r in receiver.taken] == [4], 0.2)
    statuses = receiver.taken[0].body["payload"]["statuses"]
    assert [s["status"] for s in statuses] == ["WORKING"]


async def test_an_event_nobody_takes_becomes_a_dead_letter_and_the_next_has_its_turn(
    stores: Stores, dispatcher: Dispatcher, hooked: Hooked, receiver: Receiver
) -> None:
    retries = {"policy": "constant", "delaySeconds": 0.01, "attempts": 2}
    session = await hooked(hook(receiver, retries=retries))

    async def poison(came: Received) -> web.StreamResponse | None:
        return await answers_500(came) if came.seq == 2 else None

    receiver.fault = poison
    await say(stores, session, 3)
    await receiver.until_taken(2)
    assert [r.seq for r in receiver.taken] == [1, 3]
    assert sum(r.seq == 2 for r in receiver.tries) == 3

    found = await stores.dead_letters.list(session.id, key=None, resolved=False, after=0, limit=9)
    assert [(d.seq, d.attempts, d.status) for d in found] == [(2, 3, 500)]

    async def written() -> list[tuple[int, int | None]]:
        log = await stores.webhooks.deliveries(session.id, key=None, before=None, limit=9)
        return [(d.seq, d.status) for d in reversed(log)]

    async def all_written() -> bool:
        return len(await written()) == 5

    # A receiver has an event before that is written down.
    await eventually(all_written)
    assert await written() == [(1, 200), (2, 500), (2, 500), (2, 500), (3, 200)]

    receiver.fault = None
    key = found[0].key
    assert await stores.webhooks.replay(session.id, key, replay_key=f"r1/{key}", after=1, until=2)
    await receiver.until_taken(3)
    assert receiver.taken[-1].seq == 2
    assert receiver.taken[-1].headers["X-Webhook-Replay"] == "r1"

    async def none_left() -> bool:
        listed = stores.dead_letters.list(session.id, key=None, resolved=False, after=0, limit=9)
        return not await listed

    await eventually(none_left)

    # What was replayed is written down before the replay is gone.
    async def replay_is_gone() -> bool:
        return [s.key for s in await stores.webhooks.states(session.id)] == [key]

    await eventually(replay_is_gone)


async def test_a_changed_configuration_counts_from_the_next_event_on(
    stores: Stores, dispatcher: Dispatcher, hooked: Hooked, receiver: Receiver
) -> None:
    session = await hooked()
    await say(stores, session, 3)
    await stores.sessions.update_config(session.id, {"webhooks": [hook(receiver)]})
    await say(stores, session, 2, start=3)
    await receiver.until_taken(2)
    assert [r.seq for r in receiver.taken] == [4, 5]
    await stores.sessions.update_config(session.id, {"webhooks": []})
    await say(stores, session, 1)
    await stays(lambda: len(receiver.taken) == 2, 0.4)


async def test_a_private_address_is_refused_unless_allowed(
    stores: Stores, hook_settings: Settings, hooked: Hooked, receiver: Receiver
) -> None:
    hook_settings.webhooks.allow = ""
    retries = {"policy": "constant", "delaySeconds": 0, "attempts": 0}
    session = await hooked(hook(receiver, retries=retries))
    async with running_dispatcher(hook_settings):
        await say(stores, session, 1)
        dead = await eventually(
            lambda: stores.dead_letters.list(session.id, key=None, resolved=False, after=0, limit=1)
        )
    assert "not public" in dead[0].error
    assert receiver.tries == []


async def test_webhooks_of_the_settings_get_events_of_every_session(
    stores: Stores, hook_settings: Settings, hooked: Hooked, receiver: Receiver
) -> None:
    hook_settings.global_webhooks = GlobalWebhookSettings(
        url=receiver.url,
        events="state.change",
        hmac_key=SecretStr("k"),
        retries_policy="linear",
        retries_attempts=3,
        custom_headers="X-Mine:yes",
    )
    old, own = await hooked(), await hooked(hook(receiver, url=receiver.url + "-own"))
    await stores.webhooks.set_global(hook_settings.global_webhooks.hooks())
    async with running_dispatcher(hook_settings):
        young = await hooked()
        for session in (old, own, young):
            await say(stores, session, 1)
        await receiver.until_taken(4)
    await stores.webhooks.set_global([])
    everyone = [r for r in receiver.taken if r.path == "/hook"]
    assert {r.body["session"] for r in everyone} == {old.name, own.name, young.name}
    assert {r.headers["X-Mine"] for r in everyone} == {"yes"}
    assert all("X-Webhook-Hmac" in r.headers for r in everyone)


async def test_old_events_are_forgotten_unless_somebody_still_needs_them(
    stores: Stores, hooked: Hooked, receiver: Receiver
) -> None:
    needed, free = await hooked(hook(receiver)), await hooked()
    for session in (needed, free):
        await say(stores, session, 3)
    await stores.db.run("UPDATE webhooks SET cursor = 1 WHERE session_id = %(i)s", {"i": needed.id})

    await stores.events.forget(timedelta())

    assert [e.seq for e in await stores.events.list(needed.id)] == [2, 3]
    assert await stores.events.list(free.id) == []
    await say(stores, free, 1)
    assert [e.seq for e in await stores.events.list(free.id)] == [4]
