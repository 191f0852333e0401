"""Groups through WAHA's generated client; what other members' phones and WhatsApp then see."""

from __future__ import annotations

from typing import Any

import pytest
from people import PICTURE, People
from running_gateway import until
from waha import models


@pytest.fixture(scope="module")
def group(people: People) -> str:
    """Alice's group with Bob in it."""
    made = people.waha.groups.create_group(
        people.alice.session, {"name": "Friends", "participants": [{"id": people.bob.chat}]}
    )
    assert made["Name"] == made["subject"] == "Friends"
    return str(made["JID"])


def members(people: People, group: str) -> dict[str, str]:
    """Role by number, as WhatsApp has it."""
    found = people.alice.group(group)
    assert found is not None
    return dict(found["members"])


def test_a_new_group_is_there_for_everybody_in_it(people: People, group: str) -> None:
    alice, bob, waha = people.alice, people.bob, people.waha
    assert members(people, group) == {alice.phone.number: "superadmin", bob.phone.number: ""}
    until(
        lambda: group in {one["JID"] for one in waha.groups.get_groups(bob.session)},
        what="in Bob's list, as soon as WhatsApp notified him",
    )
    assert waha.groups.get_groups_count(bob.session)["count"] >= 1
    assert waha.groups.refresh_groups(bob.session) == {"success": True}
    short = waha.groups.get_groups(
        alice.session, {"limit": 1, "sortBy": "subject", "exclude": ["participants"]}
    )
    assert len(short) == 1
    assert "Participants" not in short[0]
    seen = waha.groups.get_group(bob.session, group)
    assert (seen["OwnerJID"], seen["Name"]) == (alice.lid, "Friends")
    roles = {
        one.pn: one.role.value
        for one in map(
            models.GroupParticipant.model_validate,
            waha.groups.get_group_participants(bob.session, group),
        )
    }
    assert roles == {alice.chat: "superadmin", bob.chat: "participant"}
    raw = waha.groups.get_participants(bob.session, group)
    assert {one["PhoneNumber"]: one["IsAdmin"] for one in raw} == {alice.jid: True, bob.jid: False}


def test_messages_of_the_group_reach_the_others(people: People, group: str) -> None:
    people.gateway.send(people.alice.session, group, "hello group")
    until(lambda: "hello group" in people.bob.phone.texts(), what="on Bob's phone")
    until(
        lambda: any(
            m["body"] == "hello group" for m in people.gateway.history(people.bob.session, group)
        ),
        what="in Bob's session",
    )


def test_subject_and_description_change_for_all(people: People, group: str) -> None:
    alice, bob, waha = people.alice, people.bob, people.waha
    assert waha.groups.set_subject(alice.session, group, {"subject": "Best friends"}) is True
    assert waha.groups.set_description(alice.session, group, {"description": "Us"}) is True
    found = bob.group(group)
    assert found is not None
    assert (found["subject"], found["description"]) == ("Best friends", "Us")
    until(
        lambda: "Best friends" in {one["Name"] for one in waha.groups.get_groups(bob.session)},
        what="in Bob's list",
    )
    notifications = bob.sees("/inbox?kind=notification")["entries"]
    assert any("Best friends" in entry["stanza"] for entry in notifications), (
        "Bob's phone was notified"
    )
    assert waha.groups.set_description(alice.session, group, {"description": ""}) is True
    assert waha.groups.get_group(bob.session, group)["Topic"] == ""


def test_pictures_of_groups(people: People, group: str) -> None:
    alice, bob, waha = people.alice, people.bob, people.waha
    assert waha.groups.get_chat_picture(bob.session, group) == {"url": None}
    assert waha.groups.set_picture(group, alice.session, {"file": PICTURE}) == {"success": True}
    url = models.ChatPictureResponse.model_validate(
        waha.groups.get_chat_picture(bob.session, group)
    ).url
    found = bob.group(group)
    assert found is not None
    assert found["picture_id"] in url
    waha.groups.delete_picture(group, alice.session)
    assert waha.groups.get_chat_picture(bob.session, group) == {"url": None}


@pytest.mark.parametrize(
    ("setting", "field", "at_whatsapp"),
    [
        ("info_admin_only", "adminsOnly", "locked"),
        ("messages_admin_only", "adminsOnly", "announcement"),
    ],
)
def test_settings_for_admins_only(
    people: People, group: str, setting: str, field: str, at_whatsapp: str
) -> None:
    waha = people.waha.groups
    for wanted in (True, False):
        getattr(waha, f"set_{setting}")(people.alice.session, group, {field: wanted})
        assert getattr(waha, f"get_{setting}")(people.bob.session, group) == {field: wanted}
        found = people.bob.group(group)
        assert found is not None
        assert found[at_whatsapp] is wanted


def test_members_come_go_and_change_their_rights(people: People, group: str) -> None:
    alice, carol, waha = people.alice, people.carol, people.waha
    body = {"participants": [{"id": carol.chat}]}
    (added,) = waha.groups.add_participants(alice.session, group, body)
    assert (added["PhoneNumber"], added["Error"]) == (carol.jid, 0)
    assert members(people, group)[carol.phone.number] == ""
    (again,) = waha.groups.add_participants(alice.session, group, body)
    assert again["Error"] == 409, "in it already"
    waha.groups.promote_to_admin(alice.session, group, body)
    assert members(people, group)[carol.phone.number] == "admin"
    # By the other address: one person.
    by_lid = {"participants": [{"id": carol.lid}]}
    waha.groups.demote_to_admin(alice.session, group, by_lid)
    assert members(people, group)[carol.phone.number] == ""
    waha.groups.remove_participants(alice.session, group, body)
    assert carol.phone.number not in members(people, group)
    (unknown,) = waha.groups.add_participants(
        alice.session, group, {"participants": [{"id": "4915100000000@c.us"}]}
    )
    assert unknown["Error"] == 404


def test_invite_codes_let_people_in_until_they_are_revoked(people: People, group: str) -> None:
    alice, bob, carol, waha = people.alice, people.bob, people.carol, people.waha
    link = waha.groups.get_invite_code(alice.session, group)
    assert link.startswith("https://chat.whatsapp.com/")
    carol.phone.post("/groups/join", code=link)
    assert carol.phone.number in members(people, group)
    waha.groups.leave_group(bob.session, group)
    assert bob.phone.number not in members(people, group)
    preview = waha.groups.join_info_group(bob.session, {"code": link})
    assert preview["JID"] == group
    joined = waha.groups.join_group(bob.session, {"code": link.rpartition("/")[2]})
    assert models.JoinGroupResponse.model_validate(joined).id == group
    assert bob.phone.number in members(people, group)
    again = waha.groups.join_group(bob.session, {"code": link})
    assert again == joined, "twice is once"
    fresh = waha.groups.revoke_invite_code(alice.session, group)
    assert fresh != link
    status, _ = people.refused("POST", f"/api/{bob.session}/groups/join", json={"code": link})
    assert status == 404, "the old link is dead"


def test_requests_to_join_are_seen_and_approved(people: People) -> None:
    alice, carol, waha = people.alice, people.carol, people.waha
    made = waha.groups.create_group(alice.session, {"name": "Club", "participants": []})
    group = made["JID"]
    alice.phone.control.patch(
        f"/phones/{alice.phone.number}/groups/{group}", json={"approval": True}
    ).raise_for_status()
    carol.phone.post("/groups/join", code=waha.groups.get_invite_code(alice.session, group))
    assert carol.phone.number not in members(people, group)
    (request,) = waha.groups.get_group_join_requests(alice.session, group)
    assert carol.lid == request["requesterId"]
    assert request["timestamp"] > 0
    outcome = waha.groups.approve_group_join_requests(
        alice.session, group, {"participants": [{"id": carol.chat}, {"id": people.bob.chat}]}
    )
    found = {one["requesterId"]: (one["success"], one["error"]) for one in outcome}
    assert found == {carol.lid: (True, None), people.bob.chat: (False, 404)}
    assert carol.phone.number in members(people, group)
    assert waha.groups.get_group_join_requests(alice.session, group) == []


def test_who_may_not_is_refused_with_a_reason(people: People, group: str) -> None:
    bob = people.bob
    base = f"/api/{bob.session}/groups"
    refusals: list[tuple[str, str, dict[str, Any] | None, int]] = [
        ("GET", f"{base}/120363000000000000@g.us", None, 404),
        ("GET", f"{base}/{group}/invite-code", None, 403),
        ("POST", f"{base}/{group}/admin/promote", {"participants": [{"id": bob.chat}]}, 403),
        ("GET", f"{base}/{bob.chat}", None, 422),
        ("POST", base, {"name": "", "participants": []}, 422),
        ("POST", base, {"name": "x", "participants": [{"id": "rubbish"}]}, 422),
        ("GET", f"{base}/join-info?code=nonsense", None, 404),
        ("DELETE", f"{base}/{group}", None, 501),
        ("GET", f"{base}/{group}/settings/security/member-add-mode", None, 501),
        (
            "PUT",
            f"{base}/{group}/settings/security/membership-approval",
            {"newMembersApprovalRequired": True},
            501,
        ),
        (
            "POST",
            f"{base}/{group}/participants/join-requests/reject",
            {"participants": [{"id": bob.chat}]},
            501,
        ),
    ]
    for method, path, body, status in refusals:
        got, problem = people.refused(method, path, json=body)
        assert got == status, (method, path, problem)
        assert problem["detail"]
