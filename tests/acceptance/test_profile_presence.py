"""Profile and presence through WAHA's generated client; the other side's phone sees them."""

from __future__ import annotations

from typing import Any

import pytest
from people import PICTURE, People
from running_gateway import until
from waha import models


def test_name_and_picture_of_ones_own(people: People) -> None:
    alice, waha = people.alice, people.waha
    profile = waha.profile.get_my_profile(alice.session)
    assert profile == {"id": alice.chat, "name": "Alice", "picture": None}
    assert waha.profile.set_profile_picture(alice.session, {"file": PICTURE})["success"]
    assert waha.profile.set_profile_name(alice.session, {"name": "Alice L."})["success"]
    try:
        until(lambda: waha.profile.get_my_profile(alice.session)["name"] == "Alice L.")
        assert 'name: "Alice L."' in alice.settings("critical_block")[("setting_pushName",)]
        found = models.MyProfile.model_validate(waha.profile.get_my_profile(alice.session))
        number = alice.phone.control.get(f"/pictures/{alice.phone.number}").json()["id"]
        assert number in found.picture
    finally:
        waha.profile.set_profile_name(alice.session, {"name": "Alice"})
        waha.profile.delete_profile_picture(alice.session)
    assert waha.profile.get_my_profile(alice.session)["picture"] is None


def test_the_about_text_is_whatsapps(people: People) -> None:
    people.waha.profile.set_profile_status(people.alice.session, {"status": "Out to lunch 🥪"})
    assert people.alice.sees("")["about"] == "Out to lunch 🥪"


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("name", {"name": ""}, "name"),
        ("name", {"name": "x" * 26}, "name"),
        ("picture", {"file": {"mimetype": "image/png", "data": "bm8gaW1hZ2U="}}, "file"),
        ("picture", {"file": {"url": "http://127.0.0.1:1/x.png"}}, "url"),
    ],
)
def test_profiles_that_cannot_be(
    people: People, path: str, body: dict[str, Any], field: str
) -> None:
    status, problem = people.refused(
        "PUT", f"/api/{people.alice.session}/profile/{path}", json=body
    )
    assert (status, problem["field"]) == (422, field)


def presence(people: People, person: str) -> dict[str, Any]:
    found = people.waha.presence.get_presence(people.alice.session, person)
    return models.WAHAChatPresences.model_validate(found).model_dump(mode="json")


def test_others_are_seen_online_and_typing(people: People) -> None:
    alice, carol, waha = people.alice, people.carol, people.waha
    waha.presence.set_presence(alice.session, {"presence": "online"})
    waha.presence.subscribe(alice.session, carol.chat)
    (seen,) = presence(people, carol.chat)["presences"]
    assert (seen["participant"], seen["lastKnownPresence"]) == (carol.chat, "online")

    def state() -> dict[str, Any]:
        found = {one["id"]: one for one in waha.presence.get_presence_all(alice.session)}
        assert carol.lid not in found, "one person, one chat"
        return dict(found[carol.chat]["presences"][0])

    carol.phone.post("/typing", to=alice.phone.number)
    until(lambda: state()["lastKnownPresence"] == "typing", what="typing")
    carol.phone.post("/typing", to=alice.phone.number, state="paused")
    until(lambda: state()["lastKnownPresence"] == "paused", what="paused")
    carol.phone.control.patch(f"/phones/{carol.phone.number}", json={"available": False})
    until(lambda: state()["lastKnownPresence"] == "offline", what="offline")
    assert state()["lastSeen"] > 0
    carol.phone.control.patch(f"/phones/{carol.phone.number}", json={"available": True})
    by_lid = presence(people, carol.lid)
    assert by_lid["presences"][0]["participant"] == carol.chat


@pytest.mark.parametrize("state", ["typing", "recording", "paused"])
def test_ones_own_typing_is_seen_by_the_other(people: People, state: str) -> None:
    alice, carol, waha = people.alice, people.carol, people.waha
    before = len(carol.sees("/inbox?kind=chatstate")["entries"])
    waha.presence.set_presence(alice.session, {"presence": state, "chatId": carol.chat})
    entry = until(
        lambda: carol.sees("/inbox?kind=chatstate")["entries"][before:], what="on Carol's phone"
    )[0]
    assert ("<paused" in entry["stanza"]) is (state == "paused")
    assert ('media="audio"' in entry["stanza"]) is (state == "recording")


def test_presences_of_all_chats_take_no_chat_and_the_others_need_one(people: People) -> None:
    path = f"/api/{people.alice.session}/presence"
    for body in ({"presence": "online", "chatId": people.bob.chat}, {"presence": "typing"}):
        assert people.refused("POST", path, json=body)[1]["field"] == "chatId"
