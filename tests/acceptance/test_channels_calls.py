"""Channels and calls through WAHA's generated client; WhatsApp's own view judges."""

from __future__ import annotations

from typing import Any

import pytest
from people import PICTURE, People
from running_gateway import until
from waha import models


def test_a_channel_of_ones_own(people: People) -> None:
    alice, waha = people.alice, people.waha
    made = models.Channel.model_validate(
        waha.channels.create(
            alice.session, {"name": "News", "description": "All of it", "picture": PICTURE}
        )
    )
    assert (made.name, made.description, made.role.value) == ("News", "All of it", "OWNER")
    there = alice.phone.control.get(f"/channels/{made.id}").raise_for_status().json()
    assert there["owner"] == alice.phone.number
    assert there["picture_id"]
    assert there["picture_id"] in (made.picture or "")
    owned = waha.channels.list(alice.session, {"role": "OWNER"})
    assert made.id in {one["id"] for one in owned}


def test_following_muting_and_reading_anothers(people: People) -> None:
    alice, bob, waha = people.alice, people.bob, people.waha
    channel = alice.phone.post("/channels", name="Weather")
    jid = f"{channel['id']}@newsletter"
    alice.phone.control.post(
        f"/channels/{jid}/posts", json={"text": "Rain", "views": 7, "reactions": {"👍": 3}}
    ).raise_for_status()

    def there() -> dict[str, Any]:
        found = alice.phone.control.get(f"/channels/{jid}").raise_for_status()
        return dict(found.json()["followers"])

    seen = waha.channels.get(bob.session, channel["invite"])
    assert (seen["id"], seen["role"], seen["name"]) == (jid, "GUEST", "Weather")
    (post,) = waha.channels.preview_channel_messages(bob.session, channel["invite"], {"limit": 5})
    assert (post["message"]["body"], post["viewCount"]) == ("Rain", 7)
    assert post["reactions"] == {"👍": 3}
    waha.channels.follow(bob.session, jid)
    waha.channels.follow(bob.session, jid)
    assert there()[bob.phone.number] is False
    assert waha.channels.get(bob.session, jid)["role"] == "SUBSCRIBER"
    waha.channels.mute(bob.session, jid)
    assert there()[bob.phone.number] is True
    waha.channels.unmute(bob.session, jid)
    assert there()[bob.phone.number] is False
    waha.channels.unfollow(bob.session, jid)
    assert bob.phone.number not in there()
    assert jid not in {one["id"] for one in waha.channels.list(bob.session)}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "120363000000000@newsletter", 404),
        ("GET", "0029VaNothing", 404),
        ("POST", "123@g.us/follow", 422),
        ("DELETE", "123@newsletter", 501),
        ("GET", "search/views", 501),
        ("GET", "search/countries", 501),
        ("GET", "search/categories", 501),
    ],
)
def test_channels_that_cannot_be(people: People, method: str, path: str, status: int) -> None:
    got, problem = people.refused(method, f"/api/{people.bob.session}/channels/{path}")
    assert got == status, problem


def test_the_directory_of_channels_is_not_searched(people: People) -> None:
    base = f"/api/{people.bob.session}/channels/search"
    assert people.refused("POST", f"{base}/by-text", json={"text": "x"})[0] == 501
    assert people.refused("POST", f"{base}/by-view", json={"view": "RECOMMENDED"})[0] == 501


def test_a_call_is_turned_down(people: People) -> None:
    alice, carol, waha = people.alice, people.carol, people.waha
    call = carol.phone.post("/calls", to=alice.phone.number)
    waha.calls.reject_call(alice.session, {"from": carol.chat, "id": call["id"]})

    def rejected() -> list[str]:
        entries = carol.sees("/inbox?kind=call")["entries"]
        return [entry["stanza"] for entry in entries if call["id"] in entry["stanza"]]

    (stanza,) = until(rejected, what="the rejection on Carol's phone")
    assert "<reject" in stanza


def test_an_app_turns_calls_down_and_answers(people: People) -> None:
    waha, alice, carol = people.waha, people.alice, people.carol
    answer = {"reject": True, "message": "Please write to us."}
    app = waha.apps.create(
        {"session": alice.session, "app": "calls", "config": {"dm": answer, "group": answer}}
    )
    try:
        call = carol.phone.post("/calls", to=alice.phone.number)

        def rejected() -> bool:
            entries = carol.sees("/inbox?kind=call")["entries"]
            return any(call["id"] in one["stanza"] for one in entries)

        until(rejected, what="the call is turned down")
        until(lambda: "Please write to us." in carol.phone.texts(), what="the answer")
    finally:
        waha.apps.delete(app["id"])


def test_texts_to_a_channel_and_reactions_arrive(people: People) -> None:
    alice, bob, waha, api = people.alice, people.bob, people.waha, people.gateway.api
    made = waha.channels.create(alice.session, {"name": "Mine"})
    sent = people.gateway.send(alice.session, made["id"], "the first post")
    assert sent["ack"] >= 1

    def posts() -> list[dict[str, Any]]:
        found = alice.phone.control.get(f"/channels/{made['id']}").raise_for_status()
        return list(found.json()["posts"])

    until(posts, what="the post")
    (post,) = waha.channels.preview_channel_messages(bob.session, made["id"], {"limit": 5})
    assert post["message"]["body"] == "the first post"
    number = posts()[0]["server_id"]
    assert post["message"]["id"] == f"false_{made['id']}_{number}"
    for name, emoji, counts in (
        (post["message"]["id"], "👍", {"👍": 1}),
        (f"{post['message']['id']}_AAAAAAAAAAAAAAAAAAAA", "❤️", {"❤️": 1}),
        (post["message"]["id"], "", {}),
    ):
        body = {"session": bob.session, "messageId": name, "reaction": emoji}
        answer = api.put("/api/reaction", json=body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["reaction" if "reaction" in answer.json() else "body"] == emoji

        def counted(wanted: dict[str, int] = counts) -> bool:
            return bool(posts()[0]["reactions"] == wanted)

        until(counted, what=f"{counts}")
    unknown = {"session": bob.session, "messageId": f"false_{made['id']}_AAAAAAAAAAAA"}
    assert api.put("/api/reaction", json=unknown | {"reaction": "x"}).status_code == 404
