"""What a session's configuration says is done, or refused: nothing is taken and forgotten."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from event_receiver import Receiver
from passing_proxy import PassingProxy
from people import People
from running_gateway import RunningGateway, until
from sample_media import photo
from waiting import stays_while_blocking

#: The tests' gateway lets callers lead there.
_ALLOWED = "127.0.0.2"


def _sandbox_proxy(gateway: RunningGateway) -> tuple[str, int]:
    found = next(gateway.data.rglob("ports.json"))
    parts = urlsplit(json.loads(found.read_text())["proxy_url"])
    return parts.hostname or "", parts.port or 0


@pytest.mark.attack
@pytest.mark.parametrize(
    "server",
    [
        *("not a proxy ::", "nowhere", "host:0", "host:99999", "ftp://host:21", "https://host:443"),
        *("host:80/path", "me:you@host:80", "host:80 ", "[::1", "127.0.0.1:9", "10.0.0.1:3128"),
        *("169.254.169.254:80", "[::1]:80", "localhost:3128", ""),
    ],
)
def test_what_is_no_proxy_of_a_callers_is_refused(gateway: RunningGateway, server: str) -> None:
    config = {"proxy": {"server": server}}
    body = {"name": "refused", "config": config, "start": False}
    answer = gateway.api.post("/api/sessions", json=body)
    assert answer.status_code == 422, answer.text
    assert "proxy" in answer.text
    assert gateway.api.get("/api/sessions/refused").status_code == 404


@pytest.mark.parametrize(
    "config",
    [
        {"client": {"browserName": "Netscape"}},
        {"client": {"deviceName": ""}},
        {"client": {"deviceName": "a\nb"}},
        {"debug": "perhaps"},
        {"ignore": {"groups": "some"}},
    ],
)
def test_what_cannot_be_done_is_refused(gateway: RunningGateway, config: dict[str, object]) -> None:
    body = {"name": "refused", "config": config, "start": False}
    assert gateway.api.post("/api/sessions", json=body).status_code == 422


@pytest.mark.attack
def test_all_traffic_of_a_session_goes_by_its_own_proxy(
    gateway: RunningGateway, people: People, session_name: Callable[[], str]
) -> None:
    name, phone, bob = session_name(), gateway.phone("Alice"), people.bob
    with PassingProxy.running(_ALLOWED, _sandbox_proxy(gateway)) as proxy:
        config = {
            "proxy": {
                "server": f"{_ALLOWED}:{proxy.port}", "username": "me", "password": "p@ss:/word",
            },
            "client": {"deviceName": "MacOS", "browserName": "firefox"},
            "debug": True,
        }  # fmt: skip
        created = gateway.api.post("/api/sessions", json={"name": name, "config": config})
        assert created.status_code == 201, created.text
        phone.post("/scan", qr=gateway.qr(name))
        gateway.working(name)
        assert [device["platform"] for device in phone.devices()] == ["MacOS"]
        hosts = [host for host, _ in proxy.asked]
        assert any(host.startswith("web.whatsapp.com") for host in hosts)

        data = photo("PNG", (40, 40))
        before = len(proxy.asked)
        file = {"mimetype": "image/png", "data": base64.b64encode(data).decode()}
        sent = gateway.api.post(
            "/api/sendImage", json={"session": name, "chatId": bob.chat, "file": file}
        )
        assert sent.status_code == 201, sent.text
        assert [host for host, _ in proxy.asked[before:]], "the upload"
        before = len(proxy.asked)
        theirs = bob.phone.post(
            "/messages", to=phone.number, media="image", mimetype="image/png",
            data=base64.b64encode(photo("PNG", (41, 41))).decode(),
        )["id"]  # fmt: skip
        message = until(
            lambda: next((m for m in gateway.history(name, bob.chat) if theirs in m["id"]), None),
            what="the picture",
        )
        assert gateway.api.get(message["media"]["url"]).status_code == 200
        assert [host for host, _ in proxy.asked[before:]], "the download"
        assert {login for _, login in proxy.asked} == {"me:p@ss:/word"}

    # The proxy is gone: so is the session, it goes no other way.
    gateway.api.post(f"/api/sessions/{name}/restart").raise_for_status()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        assert gateway.info(name)["status"] != "WORKING"
        time.sleep(0.5)
    gateway.api.delete(f"/api/sessions/{name}").raise_for_status()


def test_of_ignored_chats_nothing_is_emitted(
    gateway: RunningGateway,
    people: People,
    session_name: Callable[[], str],
    receiver: Receiver,
) -> None:
    name, phone, bob = session_name(), gateway.phone("Ignoring"), people.bob
    gateway.paired(name, phone)
    made = gateway.api.post(
        f"/api/{bob.session}/groups", json={"name": "Loud", "participants": [{"id": phone.chat}]}
    ).json()
    group = str(made.get("id") or made.get("JID"))

    def join_emitted() -> bool:
        events = gateway.api.get(f"/api/{name}/events", params={"events": "group.v2.join"}).json()
        return group in str(events)

    until(join_emitted, what="the group, before it is ignored")
    hooks = [{"url": receiver.url, "events": ["*", "message.status"]}]
    ignore = {"groups": True, "status": True, "channels": True, "broadcast": True}
    gateway.api.put(
        f"/api/sessions/{name}", json={"config": {"webhooks": hooks, "ignore": ignore}}
    ).raise_for_status()
    gateway.working(name)
    bob.phone.post("/messages", to=group, text="in the group")
    bob.phone.post("/messages", to="status@broadcast", text="a story")
    gateway.send(name, group, "answer")
    until(lambda: "answer" in bob.phone.texts(), what="sends are not limited")
    gateway.api.put(
        f"/api/{bob.session}/groups/{group}/subject", json={"subject": "Louder"}
    ).raise_for_status()
    bob.phone.post("/messages", to=phone.number, text="to you")
    until(lambda: receiver.events("message"), what="what is not ignored")

    def bodies() -> list[str]:
        return [event["payload"]["body"] for event in receiver.events("message")]

    stays_while_blocking(lambda: bodies() == ["to you"], 3)
    delivered = [json.loads(body) for _, body, _ in receiver.got]
    assert not [
        e["event"] for e in delivered if group in json.dumps(e) or "@broadcast" in json.dumps(e)
    ]

    gateway.api.put(
        f"/api/sessions/{name}", json={"config": {"webhooks": hooks}}
    ).raise_for_status()
    gateway.working(name)
    bob.phone.post("/messages", to=group, text="again")
    until(
        lambda: [e for e in receiver.events("message") if e["payload"]["body"] == "again"],
        what="what is not ignored any more",
    )
