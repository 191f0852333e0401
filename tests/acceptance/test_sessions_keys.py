"""Sessions, pairing by code and API keys through WAHA's generated client."""

from __future__ import annotations

import itertools
import os
from typing import Any

import httpx
from people import People
from running_gateway import until

_names = itertools.count(1)


def connected(people: People, phone: Any) -> bool:
    """Whether a linked device of the phone is connected to WhatsApp."""
    return any(device["connected"] for device in phone.devices())


def test_a_session_from_its_code_to_its_end(people: People) -> None:
    gateway, sessions, name = (
        people.gateway,
        people.waha.sessions,
        f"life{os.getpid()}-{next(_names)}",
    )
    phone = gateway.phone("Dora")
    made = sessions.create({"name": name, "config": {"metadata": {"team": "a"}}})
    assert made["name"] == name
    gateway.qr(name)
    code = people.waha.auth.request_code(name, {"phoneNumber": phone.number})["code"]
    phone.post("/link-code", code=code)
    gateway.working(name)
    assert connected(people, phone)
    assert sessions.get_me(name)["id"] == phone.chat
    assert name in [one["name"] for one in sessions.list()]
    sessions.update(name, {"config": {"metadata": {"team": "b"}}})
    assert sessions.get(name)["config"]["metadata"] == {"team": "b"}
    sessions.stop(name)
    until(lambda: not connected(people, phone), what="the device disconnected")
    until(lambda: name not in [one["name"] for one in sessions.list()], what="it is stopped")
    assert name in [one["name"] for one in sessions.list({"all": True})]
    sessions.start(name)
    until(lambda: connected(people, phone), 60, "the device connected again")
    gateway.working(name)
    sessions.restart(name)
    gateway.working(name)
    until(lambda: connected(people, phone), 60, "the device connected after the restart")
    sessions.restart(name)
    sessions.logout(name)
    until(lambda: not phone.devices(), what="the device unlinked on the phone")
    sessions.delete(name)
    assert name not in [one["name"] for one in sessions.list({"all": True})]
    # Whoever makes a session and thinks better of it need not wait.
    sessions.create({"name": name})
    assert sessions.logout(name)["status"] == "STARTING"
    sessions.delete(name)
    assert name not in [one["name"] for one in sessions.list({"all": True})]


def test_the_older_paths_of_sessions_do_the_same(people: People) -> None:
    gateway, sessions, name = (
        people.gateway,
        people.waha.sessions,
        f"life{os.getpid()}-{next(_names)}",
    )
    phone = gateway.phone("Emil")
    sessions.depracated_start({"name": name})
    phone.post("/scan", qr=gateway.qr(name))
    gateway.working(name)
    sessions.deprecated_stop({"name": name})
    until(lambda: not connected(people, phone), what="the device disconnected")
    sessions.depracated_start({"name": name})
    gateway.working(name)
    sessions.deprecated_logout({"name": name})
    until(lambda: not phone.devices(), what="the device unlinked on the phone")


def test_keys_open_what_they_are_for(people: People) -> None:
    gateway, api_keys, alice = people.gateway, people.waha.api_keys, people.alice
    made = api_keys.create({"isAdmin": False, "isActive": True, "session": alice.session})

    def status(key: str, path: str) -> int:
        return httpx.get(gateway.state.url + path, headers={"X-Api-Key": key}).status_code

    own, others = f"/api/{alice.session}/chats", f"/api/{people.bob.session}/chats"
    assert status(made["key"], own) == 200
    assert status(made["key"], others) in {403, 404}
    assert made["id"] in [one["id"] for one in api_keys.list()]
    api_keys.update(made["id"], {"isAdmin": False, "isActive": False, "session": alice.session})
    until(lambda: status(made["key"], own) in {401, 403}, what="the key does not open any more")
    api_keys.delete(made["id"])
    assert made["id"] not in [one["id"] for one in api_keys.list()]
    for narrow in (api_keys.media, api_keys.control):
        one = narrow({"session": alice.session})
        assert status(one["key"], own) == 403
        api_keys.delete(one["id"])
