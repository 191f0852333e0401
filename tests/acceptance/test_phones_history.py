"""What a phone sends of the time before the link, and how the history is searched and paged."""

from __future__ import annotations

import itertools
import os
import time
from typing import Any

import pytest
from people import People
from running_gateway import Phone, RunningGateway, until

_names = itertools.count(1)
LONG_AGO = 1_700_000_000
GROUP = "120363000000000099@g.us"


def search(gateway: RunningGateway, session: str, q: str, **more: Any) -> dict[str, Any]:
    answer = gateway.api.get(f"/api/{session}/messages/search", params={"q": q, **more})
    assert answer.is_success, answer.text
    return dict(answer.json())


def found(gateway: RunningGateway, session: str, q: str, **more: Any) -> list[str]:
    return [m["body"] for m in search(gateway, session, q, **more)["messages"]]


@pytest.fixture(scope="module")
def linked(gateway: RunningGateway) -> tuple[str, Phone, Phone]:
    """A session linked to a phone that had talked before."""
    own, friend = gateway.phone("Ann"), gateway.phone("Friend")
    friend.post("/messages", to=own.number, text="Grüße from before the link")
    until(lambda: own.texts(), what="on the phone")
    own.post("/messages", to=friend.number, text="answered before the link")
    session = f"past{os.getpid()}-{next(_names)}"
    gateway.paired(session, own)
    until(lambda: gateway.history(session, friend.chat), what="the phone's history")
    return session, own, friend


def events(gateway: RunningGateway, session: str) -> list[str]:
    answer = gateway.api.get(f"/api/{session}/events", params={"limit": 1000})
    body = answer.raise_for_status().json()
    return [e["event"] for e in (body["events"] if isinstance(body, dict) else body)]


def test_what_was_said_before_the_link_is_there_and_is_not_emitted(
    gateway: RunningGateway, linked: tuple[str, Phone, Phone]
) -> None:
    session, _own, friend = linked
    texts = [(m["body"], m["fromMe"]) for m in gateway.history(session, friend.chat)]
    assert sorted(texts) == [
        ("Grüße from before the link", False),
        ("answered before the link", True),
    ]
    assert found(gateway, session, "GRÜSS before") == []
    assert found(gateway, session, "GRÜßE befo") == ["Grüße from before the link"]
    assert not {"message", "message.any"} & set(events(gateway, session))


def test_a_later_sync_adds_and_does_not_repeat_or_overwrite(
    gateway: RunningGateway, linked: tuple[str, Phone, Phone]
) -> None:
    session, own, friend = linked
    friend.post("/messages", to=own.number, text="live and newest")
    until(lambda: found(gateway, session, "live newest"), what="the live message")
    lid = own.control.get(f"/phones/{friend.number}").json()["lid"] + "@lid"
    messages = [
        {"id": f"PAST{n}", "text": f"archive number {n}", "timestamp": LONG_AGO + n}
        for n in range(30)
    ]
    chats = [
        {"id": lid, "name": "Friend of old", "messages": messages, "archived": True},
        {
            "id": GROUP,
            "name": "Choir",
            "unread": 1,
            "members": {lid: 1},
            "messages": [
                {
                    "id": "SONG",
                    "text": "la la la",
                    "timestamp": LONG_AGO,
                    "participant": lid,
                    "push_name": "Friend",
                }
            ],
        },
    ]
    pairs = [[lid, f"{friend.number}@s.whatsapp.net"]]
    for kind, inline in (("RECENT", False), ("RECENT", False), ("ON_DEMAND", True)):
        own.post("/history", kind=kind, inline=inline, chats=chats, pairs=pairs)
    until(lambda: found(gateway, session, "la la"), what="the group's song")
    overview = {
        chat["id"]: chat for chat in gateway.api.get(f"/api/{session}/chats/overview").json()
    }
    assert lid not in overview, "one person, one chat"
    assert overview[friend.chat]["lastMessage"]["body"] == "live and newest"
    assert not overview[friend.chat]["_chat"]["archived"], "the live state is newer"
    assert (overview[GROUP]["name"], overview[GROUP]["_chat"]["unreadCount"]) == ("Choir", 1)
    assert len(gateway.history(session, friend.chat)) == 33
    assert len(gateway.history(session, lid)) == 33
    song = search(gateway, session, "la la", chatId=GROUP)["messages"][0]
    assert song["participant"] == friend.chat
    names = {
        c["id"]: c["pushname"]
        for c in gateway.api.get("/api/contacts/all", params={"session": session}).json()
    }
    assert names[friend.chat] == "Friend"
    assert lid not in names
    assert len(found(gateway, session, "live newest")) == 1
    assert "message" in events(gateway, session)
    assert events(gateway, session).count("message") == 1


def test_pages_follow_one_another_while_messages_arrive(
    gateway: RunningGateway, linked: tuple[str, Phone, Phone]
) -> None:
    session, own, friend = linked
    seen: list[str] = []
    address = f"/api/{session}/chats/{friend.chat}/messages"
    # What was under a LID before its number was known is moved in parts.
    until(lambda: len(gateway.api.get(address, params={"limit": 99}).json()) == 33, what="all")
    parameters: dict[str, Any] = {"limit": 7}
    while True:
        answer = gateway.api.get(
            f"/api/{session}/chats/{friend.chat}/messages", params=parameters
        ).raise_for_status()
        seen += [m["id"] for m in answer.json()]
        cursor = answer.headers.get("X-Next-Cursor")
        if cursor is None:
            break
        parameters["cursor"] = cursor
        friend.post("/messages", to=own.number, text=f"meanwhile {time.monotonic()}")
    assert len(seen) == len(set(seen)) == 33
    pages: list[str] = []
    page = search(gateway, session, "archive", limit=11)
    while page["nextCursor"]:
        pages += [m["body"] for m in page["messages"]]
        page = search(gateway, session, "archive", limit=11, cursor=page["nextCursor"])
    pages += [m["body"] for m in page["messages"]]
    assert pages == [f"archive number {n}" for n in reversed(range(30))]
    assert found(gateway, session, "archive", fromMe="true") == []
    between = {"from": LONG_AGO + 3, "to": LONG_AGO + 4}
    assert found(gateway, session, "archive", **between) == ["archive number 4", "archive number 3"]


def test_what_is_no_search_is_refused(people: People, linked: tuple[str, Phone, Phone]) -> None:
    path = f"/api/{linked[0]}/messages/search"
    assert people.refused("GET", path)[0] == 422
    for bad in ({"q": "x", "cursor": "nonsense"}, {"q": "x", "chatId": "nobody"}):
        status, problem = people.refused("GET", path, params=bad)
        assert (status, problem["field"]) == (422, "cursor" if "cursor" in bad else "chatId")
