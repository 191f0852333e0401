"""Events and webhooks through HTTP: read, follow, replay, test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
import uvicorn
from hook_receiver import Receiver, answers_500, eventually
from hooked import Hooked, hook, say
from pydantic import BaseModel, SecretStr
from waha.generated import models as waha
from waiting import stays
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from actors.delivery.dispatcher import Dispatcher
from api.app import create_app
from client.gateway import Gateway
from cluster.domain.message import Ack, StoredMessage
from cluster.domain.session import Me, SessionStatus
from cluster.settings import HttpSettings, Settings
from cluster.stores import Stores

KEY = "the-key"
#: Bound on a request, seconds: on a busy machine the others need some time, too.
_PATIENCE = 8


class GatewayWithoutRay(Gateway):
    """Reading and delivering events needs the stores only."""

    def __init__(self, settings: Settings, stores: Stores) -> None:
        super().__init__(settings, tenant="default")
        self._opened = stores

    async def stores(self) -> Stores:
        return self._opened


@pytest_asyncio.fixture
async def front(hook_settings: Settings, stores: Stores) -> AsyncIterator[str]:
    """The HTTP front on loopback; gives host:port."""
    http = HttpSettings(api_key=SecretStr(KEY), request_timeout_seconds=_PATIENCE)
    app = create_app(lambda: GatewayWithoutRay(hook_settings, stores), http)
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_level="error", timeout_graceful_shutdown=1)
    )
    serving = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started

    await eventually(started)
    yield f"127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await serving


@pytest_asyncio.fixture
async def caller(front: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=f"http://{front}", headers={"X-Api-Key": KEY}, timeout=20
    ) as client:
        yield client


async def test_pulling_gives_every_event_once_and_a_long_poll_waits_for_the_next(
    stores: Stores, caller: httpx.AsyncClient, hooked: Hooked
) -> None:
    session = await hooked()
    await say(stores, session, 7)
    path, seen, after = f"/api/{session.name}/events", [], 0
    while True:
        page = (await caller.get(path, params={"after": after, "limit": 3})).json()
        if not page["events"]:
            break
        seen += [event["gateway"]["seq"] for event in page["events"]]
        after = page["next"]
    assert seen == list(range(1, 8))

    waiting = asyncio.create_task(caller.get(path, params={"after": 7, "wait": 10}))
    await stays(lambda: not waiting.done(), 0.3)
    await say(stores, session, 1)
    assert [e["gateway"]["seq"] for e in (await waiting).json()["events"]] == [8]

    none = (await caller.get(path, params={"events": "message,message.ack"})).json()
    cursor = none.pop("cursor")
    assert cursor.startswith("8-")
    assert none == {"events": [], "next": 8, "newest": 8}
    assert (await caller.get(path, params={"events": "nonsense"})).status_code == 422
    assert (await caller.get("/api/nobody/events")).status_code == 404


async def lines(response: httpx.Response, events: int) -> list[dict[str, str]]:
    """The first `events` messages of a stream."""
    found: list[dict[str, str]] = [{}]
    async for line in response.aiter_lines():
        if not line and "id" in found[-1]:
            if len(found) == events:
                return found
            found.append({})
        elif ": " in line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            found[-1][name] = value
    return found


async def test_a_stream_resumes_where_it_broke_off_and_outlasts_the_request_timeout(
    stores: Stores, front: str, hooked: Hooked
) -> None:
    session = await hooked()
    await say(stores, session, 3)
    url = f"http://{front}/api/{session.name}/events/stream"
    async with httpx.AsyncClient(timeout=30) as browser:
        assert (await browser.get(url)).status_code == 401
        async with browser.stream("GET", url, params={"x-api-key": KEY, "after": 0}) as first:
            got = await lines(first, 2)
        resumed = {"Last-Event-ID": got[-1]["id"], "X-Api-Key": KEY}
        async with browser.stream("GET", url, headers=resumed) as second:
            reading = asyncio.create_task(lines(second, 2))
            await asyncio.sleep(_PATIENCE + 1)
            await say(stores, session, 1)
            got += await reading
    assert [line["id"].partition("-")[0] for line in got] == ["1", "2", "3", "4"]
    assert {line["event"] for line in got} == {"state.change"}
    assert json.loads(got[-1]["data"])["session"] == session.name


async def test_a_websocket_emits_events_of_all_sessions_as_waha_does(
    stores: Stores, front: str, hooked: Hooked
) -> None:
    one, other = await hooked(), await hooked()
    url = f"ws://{front}/ws?x-api-key={KEY}"
    async with connect(f"{url}&session=*&events=state.change&events=message") as every:
        await asyncio.sleep(0.3)
        await say(stores, one, 2)
        await say(stores, other, 1)
        received = [json.loads(await asyncio.wait_for(every.recv(), 10)) for _ in range(3)]
    by_session = {
        s.name: [t["payload"]["n"] for t in received if t["session"] == s.name]
        for s in (one, other)
    }
    assert by_session == {one.name: [0, 1], other.name: [0]}

    async with connect(f"{url}&session={one.name}&after=1") as resumed:
        assert json.loads(await asyncio.wait_for(resumed.recv(), 10))["gateway"]["seq"] == 2
    async with connect(f"{url}&session=*&after=1") as refused:
        with pytest.raises(ConnectionClosed, match=r"4001.*after needs one session"):
            await refused.recv()


async def test_webhooks_are_watched_tested_and_dead_letters_replayed_over_http(
    stores: Stores,
    caller: httpx.AsyncClient,
    dispatcher: Dispatcher,
    hooked: Hooked,
    receiver: Receiver,
) -> None:
    receiver.fault = answers_500
    retries = {"policy": "constant", "delaySeconds": 0, "attempts": 0}
    session = await hooked(hook(receiver, retries=retries))
    base = f"/api/{session.name}"
    await say(stores, session, 2)

    async def dead() -> list[dict[str, Any]]:
        found = (await caller.get(f"{base}/webhooks/dead-letters")).json()
        return found if len(found) == 2 else []

    letters = await eventually(dead)
    assert [letter["seq"] for letter in letters] == [1, 2]
    (state,) = (await caller.get(f"{base}/webhooks")).json()
    assert (state["deadLetters"], state["behind"], state["cursor"]) == (2, 0, 2)

    test = {"webhook": state["id"]}
    answer = (await caller.post(f"{base}/webhooks/test", json=test)).json()
    assert (answer["delivered"], answer["status"]) == (False, 500)
    receiver.fault = None
    assert (await caller.post(f"{base}/webhooks/test", json=test)).json()["delivered"]
    assert receiver.taken.pop().body["event"] == "webhook.test"

    assert (await caller.post(f"{base}/webhooks/dead-letters/replay")).json() == {"count": 2}
    await receiver.until_taken(2)
    assert sorted(r.seq for r in receiver.taken) == [1, 2]

    recent = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    again = {"webhook": state["id"], "from": recent}
    replay = (await caller.post(f"{base}/events/replay", json=again)).json()
    await receiver.until_taken(4)
    assert [r.seq for r in receiver.taken[2:]] == [1, 2]
    assert receiver.taken[-1].headers["X-Webhook-Replay"] == replay["replay"]

    async def none_left() -> bool:
        return not (await caller.get(f"{base}/webhooks/dead-letters")).json()

    assert await eventually(none_left)
    log = (await caller.get(f"{base}/webhooks/deliveries")).json()
    assert [(d["seq"], d["status"]) for d in log[:2]] == [(2, 200), (1, 200)]


async def test_the_bodies_are_wahas(
    stores: Stores, caller: httpx.AsyncClient, hooked: Hooked
) -> None:
    """Judged by the models generated from WAHA's own OpenAPI."""
    session = await hooked()
    epoch = (await stores.ownership.claim(session.id, "n", "h", timedelta(seconds=30))).epoch
    me = Me(id="4915100001@c.us", push_name="Alice", jid="4915100001:3@s.whatsapp.net")
    await stores.sessions.set_status(session.id, epoch, SessionStatus.WORKING, me=me)
    await stores.events.append(session.id, "session.status", {"status": "WORKING"}, epoch=epoch)
    chat, group = "4915100002@s.whatsapp.net", "120363000000000001@g.us"

    def message(n: int, kind: str, **more: Any) -> StoredMessage:
        given: dict[str, Any] = {
            "chat": chat,
            "sender": chat,
            "from_me": False,
            "body": "hi",
        } | more
        return StoredMessage(
            message_id=f"3EB0AAAAAAAAAAAA{n:04}", kind=kind, timestamp=datetime.now(UTC), **given
        )

    reacted = {"reactionMessage": {"key": {"fromMe": False, "ID": "X1"}, "text": "hi"}}
    record = stores.inbox.record_incoming
    await record(session.id, epoch, message(1, "text", chat=group), "message", "message.any")
    await record(
        session.id,
        epoch,
        message(2, "reaction", reply_to="X1", payload={"message": reacted}),
        "message.reaction",
    )
    # Of a message that is there, and its sender's: others are reported as refused.
    target = message(5, "text")
    await record(session.id, epoch, target)
    for n, kind, name in ((3, "edit", "message.edited"), (4, "revoke", "message.revoked")):
        change = message(n, kind, reply_to=target.message_id)
        await record(session.id, epoch, change, name)
    sent = "3EB0CCCCCCCCCCCC0001"
    await stores.outbox.accept(
        session.id,
        message_id=sent,
        chat=chat,
        sender="4915100001@s.whatsapp.net",
        kind="text",
        content={"kind": "text", "text": "out"},
        body="out",
    )
    await stores.outbox.mark_sent(session.id, epoch, sent, datetime.now(UTC))
    await stores.inbox.record_receipt(
        session.id,
        epoch,
        chat=chat,
        message_ids=[sent],
        sender=chat,
        ack=Ack.READ,
        state=None,
        timestamp=datetime.now(UTC),
    )

    events = (await caller.get(f"/api/{session.name}/events")).json()["events"]
    shapes: dict[str, type[BaseModel]] = {
        "session.status": waha.WASessionStatusBody,
        "message": waha.WAMessage,
        "message.any": waha.WAMessage,
        "message.reaction": waha.WAMessageReaction,
        "message.edited": waha.WAMessageEditedBody,
        "message.revoked": waha.WAMessageRevokedBody,
        "message.ack": waha.WAMessageAckBody,
    }
    for event in events:
        if shape := shapes.get(event["event"]):
            # waha-py has `participant` of an ack as required, WAHA's documentation as null.
            shape.model_validate(event["payload"] | {"participant": "x"})
            waha.WAHAEnvironment.model_validate(event["environment"])
            waha.MeInfo.model_validate(event["me"])
    payloads = {event["event"]: event["payload"] for event in events}
    assert payloads.keys() == {*shapes, "message.status"}
    assert payloads["message"]["participant"] == "4915100002@c.us"
    assert payloads["message"]["id"].startswith(f"false_{group}_3EB0")
    assert payloads["message.reaction"]["reaction"]["messageId"] == "true_4915100002@c.us_X1"
    assert payloads["message.any"]["source"] == "api"
    assert payloads["message.any"]["ackName"] == "SERVER"
    assert payloads["message.ack"] == {
        "id": f"true_4915100002@c.us_{sent}",
        "from": "4915100001@c.us",
        "to": "4915100002@c.us",
        "participant": "",
        "fromMe": True,
        "ack": 3,
        "ackName": "READ",
        "_data": payloads["message.ack"]["_data"],
    }


async def test_a_reader_gets_an_error_when_the_database_lost_what_it_has_read(
    stores: Stores, caller: httpx.AsyncClient, hooked: Hooked
) -> None:
    session = await hooked()
    await say(stores, session, 5)
    path = f"/api/{session.name}/events"
    cursor = (await caller.get(path)).json()["cursor"]
    assert cursor.startswith("5-")
    # A failover to a replica that had the first three only.
    await stores.db.run(
        "DELETE FROM events WHERE session_id = %(id)s AND seq > 3", {"id": session.id}
    )
    await stores.db.run(
        "UPDATE session_streams SET event_seq = 3 WHERE session_id = %(id)s", {"id": session.id}
    )

    async def loss_is_reported() -> None:
        answer = await caller.get(path, params={"after": cursor})
        assert answer.status_code == 409, answer.text
        headers = {"Last-Event-ID": cursor}
        async with caller.stream("GET", f"{path}/stream", headers=headers) as stream:
            text = "".join([part async for part in stream.aiter_text()])
        assert "event: gateway.error" in text

    await loss_is_reported()
    # Other events have the numbers by now.
    await say(stores, session, 4)
    await loss_is_reported()
    for known in ("3", cursor.replace("5-", "3-", 1)):
        # A number alone is taken as it is; the cursor of another event is none of this one.
        answer = await caller.get(path, params={"after": known})
        assert answer.status_code == (200 if known == "3" else 409)
    page = (await caller.get(path, params={"after": "3"})).json()
    again = await caller.get(path, params={"after": page["cursor"]})
    assert (again.status_code, again.json()["events"]) == (200, [])
    refused = await caller.get(path, params={"after": "5-x"})
    assert refused.status_code == 422
