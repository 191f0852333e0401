"""Paths that WAHA has deprecated, and small ones beside the great: the other side sees the same."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from people import PICTURE, People
from running_gateway import until
from sample_media import sound, video


def arrived(people: People, sent: dict[str, Any]) -> dict[str, Any]:
    """What Carol's phone decrypted of it."""
    wire_id = sent["id"].split("_")[2]
    return until(
        lambda: next((e for e in people.carol.phone.inbox() if e["id"] == wire_id), None),
        what=f"{wire_id} on Carol's phone",
    )


def test_texts_by_the_older_paths(people: People) -> None:
    chatting, alice, carol = people.waha.chatting, people.alice, people.carol
    chat = {"session": alice.session, "chatId": carol.chat}
    sent = chatting.send_text_get(
        {"session": alice.session, "phone": carol.phone.number, "text": "by GET"}
    )
    assert arrived(people, sent)["text"] == "by GET"
    answer = chatting.reply(chat | {"text": "a reply", "reply_to": sent["id"]})
    quoted = arrived(people, answer)["message"]["extendedTextMessage"]
    assert (quoted["text"], quoted["contextInfo"]["stanzaId"]) == (
        "a reply",
        sent["id"].split("_")[2],
    )
    link = chatting.send_link_preview_deprecated(
        chat | {"url": "http://127.0.0.1:9/", "title": "a title"}
    )
    assert "127.0.0.1" in arrived(people, link)["text"]
    button = chatting.send_buttons_reply(
        chat | {"selectedDisplayText": "Yes", "selectedButtonID": "yes"}
    )
    assert arrived(people, button)["type"] == "buttonsResponseMessage"
    listed = chatting.get_messages({"session": alice.session, "chatId": carol.chat, "limit": 4})
    assert {one["id"] for one in listed} == {one["id"] for one in (sent, answer, link, button)}
    known = chatting.deprecated_check_number_status(
        {"session": alice.session, "phone": carol.phone.number}
    )
    assert known["numberExists"] is True


def test_appointments_arrive_with_their_time_and_place(people: People) -> None:
    event = {
        "name": "Rehearsal",
        "description": "bring scores",
        "startTime": 2063137000,
        "endTime": 2063140600,
        "location": {"name": "Hall"},
        "extraGuestsAllowed": True,
    }
    sent = people.waha.events.send_event(
        people.alice.session, {"chatId": people.carol.chat, "event": event}
    )
    entry = arrived(people, sent)
    part = entry["message"]["eventMessage"]
    assert (part["name"], part["description"]) == ("Rehearsal", "bring scores")
    assert (part["startTime"], part["endTime"]) == ("2063137000", "2063140600")
    assert part["location"]["name"] == "Hall"
    assert part["extraGuestsAllowed"] is True


def test_reading_a_chat_shows_at_the_sender(people: People) -> None:
    alice, carol = people.alice, people.carol
    carol.phone.post("/messages", to=alice.phone.number, text="read me, please")
    wire_id = until(
        lambda: next(
            (
                m["id"].split("_")[2]
                for m in people.gateway.history(alice.session, carol.chat)
                if m["body"] == "read me, please"
            ),
            None,
        ),
        what="in the history",
    )
    done = people.waha.chats.read_chat_messages(alice.session, carol.chat, {"messages": 5})
    assert any(wire_id in one for one in done["ids"])
    until(
        lambda: any(
            e["type"] == "read" and wire_id in e["ids"] for e in carol.sees("/receipts")["entries"]
        ),
        what="blue ticks at Carol",
    )


def test_the_picture_of_a_chat_is_the_persons(people: People) -> None:
    alice, bob, waha = people.alice, people.bob, people.waha
    assert waha.chats.get_chat_picture(alice.session, people.carol.chat) == {"url": None}
    waha.profile.set_profile_picture(bob.session, {"file": PICTURE})
    try:
        number = bob.phone.control.get(f"/pictures/{bob.phone.number}").json()["id"]
        assert number in waha.chats.get_chat_picture(alice.session, bob.chat)["url"]
    finally:
        waha.profile.delete_profile_picture(bob.session)


@pytest.mark.parametrize("who", ["info", "messages"])
def test_what_only_admins_may_do(people: People, who: str) -> None:
    alice, bob, groups = people.alice, people.bob, people.waha.groups
    change, read, flag = {
        "info": (groups.set_info_admin_only, groups.get_info_admin_only, "locked"),
        "messages": (
            groups.set_messages_admin_only,
            groups.get_messages_admin_only,
            "announcement",
        ),
    }[who]
    made = groups.create_group(alice.session, {"name": who, "participants": [{"id": bob.chat}]})
    for only in (True, False):
        change(alice.session, made["JID"], {"adminsOnly": only})
        assert read(alice.session, made["JID"])["adminsOnly"] is only
        found = bob.group(made["JID"])
        assert found is not None
        assert found[flag] is only


def test_conversion_and_stories_of_films(people: People) -> None:
    alice, carol, waha = people.alice, people.carol, people.waha
    for convert, data, start in (
        (waha.media.convert_voice, sound(1), b"OggS"),
        (waha.media.convert_video, video("avi"), b"ftyp"),
    ):
        # The client asks for JSON.
        made = convert(alice.session, {"data": base64.b64encode(data).decode()})
        assert start in base64.b64decode(made["data"])[:40]
    alice.phone.post("/settings", chat=carol.phone.number, setting="contact", name="Carol")
    chosen = waha.status.get_new_message_id(alice.session)["id"]
    story = {
        "id": chosen,
        "file": {"data": base64.b64encode(video("avi")).decode(), "mimetype": "video/avi"},
        "convert": True,
    }

    def film_arrived() -> list[dict[str, Any]]:
        waha.status.send_video_status(alice.session, story | {"id": None})
        return [e for e in carol.phone.inbox() if e["type"] == "videoMessage"]

    assert until(film_arrived, 60, "the film on Carol's phone")[0]["chat"] == "status@broadcast"
