"""Contacts and LIDs through WAHA's generated client; the phone's own books judge."""

from __future__ import annotations

from typing import Any

from people import PICTURE, People
from running_gateway import until


def named(people: People, contact: str, **more: Any) -> dict[str, Any]:
    found = people.waha.contacts.get(
        {"session": people.alice.session, "contactId": contact, **more}
    )
    return dict(found)


def test_a_saved_contact_is_in_the_phones_address_book(people: People) -> None:
    alice, bob, waha = people.alice, people.bob, people.waha
    saved = waha.contacts_session.put(
        alice.session, bob.chat, {"firstName": "Bobby", "lastName": "Tables"}
    )
    assert saved == {"success": True}
    entry = alice.settings("critical_unblock_low")[("contact", bob.jid)]
    assert 'fullName: "Bobby Tables"' in entry
    until(lambda: named(people, bob.chat)["name"] == "Bobby Tables", what="the name, read back")
    by_lid = waha.contacts_session.get(alice.session, bob.lid)
    assert (by_lid["id"], by_lid["name"]) == (bob.chat, "Bobby Tables"), "one person, one contact"
    everybody = waha.contacts.get_all({"session": alice.session, "sortBy": "name", "limit": 1000})
    assert [one["id"] for one in everybody].count(bob.chat) == 1
    assert bob.lid not in {one["id"] for one in everybody}


def test_what_the_phone_names_is_named_here_too(people: People) -> None:
    alice, carol = people.alice, people.carol
    alice.phone.post("/settings", chat=carol.phone.number, setting="contact", name="Caro Line")
    until(lambda: named(people, carol.chat)["name"] == "Caro Line", what="the name from the phone")
    assert named(people, carol.lid)["id"] == carol.chat


def test_push_names_come_with_messages(people: People) -> None:
    alice, bob = people.alice, people.bob
    people.gateway.send(bob.session, alice.chat, "it is me")
    until(lambda: named(people, bob.chat)["pushname"] == "Bob", what="Bob's own name")


def test_numbers_about_texts_and_pictures(people: People) -> None:
    alice, bob, waha = people.alice, people.bob, people.waha
    exists = waha.contacts.check_exists({"session": alice.session, "phone": bob.phone.number})
    assert exists["numberExists"]
    query = {"session": alice.session, "contactId": bob.chat}
    waha.profile.set_profile_status(bob.session, {"status": "Busy"})
    assert waha.contacts.get_about(query) == {"about": "Busy"}
    assert waha.contacts.get_profile_picture(query) == {"profilePictureURL": None}
    waha.profile.set_profile_picture(bob.session, {"file": PICTURE})
    picture = bob.phone.control.get(f"/pictures/{bob.phone.number}").json()["id"]
    assert picture in waha.contacts.get_profile_picture(query)["profilePictureURL"]
    waha.profile.delete_profile_picture(bob.session)
    assert waha.contacts.get_profile_picture(query) == {"profilePictureURL": None}


def test_blocking_by_either_address(people: People) -> None:
    alice, carol, waha = people.alice, people.carol, people.waha
    body = {"session": alice.session, "contactId": carol.chat}
    waha.contacts.block(body)
    waha.contacts.block(body)
    assert alice.sees("/blocked") == [carol.phone.number], "twice is once"
    waha.contacts.unblock(body | {"contactId": carol.lid})
    assert alice.sees("/blocked") == []


def test_lids_and_phone_numbers_name_each_other(people: People) -> None:
    alice, bob, waha = people.alice, people.bob, people.waha
    pair = {"lid": bob.lid, "pn": bob.chat}
    assert waha.lids.find_lid_by_phone_number(alice.session, bob.chat) == pair
    assert waha.lids.find_pn_by_lid(alice.session, bob.lid) == pair
    assert waha.lids.find_pn_by_lid(alice.session, bob.lid.removesuffix("@lid")) == pair
    known = waha.lids.get_all(alice.session, {"limit": 1000})
    assert pair in known
    assert waha.lids.get_lids_count(alice.session)["count"] == len(known)
    assert waha.lids.get_all(alice.session, {"limit": 1, "offset": len(known)}) == []
    nobody = waha.lids.find_lid_by_phone_number(alice.session, "4915100000000")
    assert nobody == {"lid": None, "pn": "4915100000000@c.us"}


def test_what_is_no_person_is_refused(people: People) -> None:
    session = people.alice.session
    for contact in ("rubbish", "120363000000000000@g.us"):
        status, problem = people.refused(
            "GET", "/api/contacts", params={"session": session, "contactId": contact}
        )
        assert (status, problem["field"]) == (422, "contactId")
    status, problem = people.refused("GET", f"/api/{session}/lids/pn/{people.bob.lid}")
    assert (status, problem["field"]) == (422, "phoneNumber")
