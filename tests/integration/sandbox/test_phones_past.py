"""What a phone sends of the past, through the unmodified library: inline and by a download."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from library_device import LibraryDevice

from sandbox.crypto.protobuf import wa
from sandbox.phone.history import HistoryChat, HistoryMessage
from sandbox.phone.phone import Phone
from sandbox.server.directory import jid_of

Link = Callable[[Phone], Awaitable[LibraryDevice]]
GROUP = "120363000000000007@g.us"


def _merged(event: dict[str, Any], part: str) -> list[Any]:
    return [one for chunk in event["chunks"] for one in chunk[part]]


async def test_a_device_linked_later_receives_what_the_phone_saw_and_sent(
    alice: Phone, bob: Phone, link: Link
) -> None:
    await bob.send_text(alice.number, "before, from Bob")
    await alice.wait_inbox(0, 5)
    await alice.send_text(bob.number, "before, to Bob")
    device = await link(alice)
    event = await device.event("HistoryArrived")
    assert event["kind"] == "INITIAL_BOOTSTRAP"
    received = [(m["body"], m["from_me"], m["chat"]) for m in _merged(event, "messages")]
    chat = f"{bob.number}@s.whatsapp.net"
    assert received == [("before, from Bob", False, chat), ("before, to Bob", True, chat)]
    assert [str(jid_of(bob.account)), chat] in _merged(event, "pairs")


@pytest.mark.parametrize("inline", [True, False])
async def test_chats_groups_and_names_arrive(
    alice: Phone, bob: Phone, link: Link, *, inline: bool
) -> None:
    device = await link(alice)
    # What every device receives when it is new, though there is nothing yet.
    for kind in ("INITIAL_BOOTSTRAP", "PUSH_NAME", "RECENT"):
        event = await device.event("HistoryArrived")
        assert (event["kind"], _merged(event, "messages")) == (kind, [])
    lid, phone = str(jid_of(bob.account)), str(jid_of(bob.account, lid=False))
    group = HistoryChat(
        id=GROUP,
        name="Friends",
        members={lid: 1, phone: 0},
        unread=1,
        messages=[
            HistoryMessage(
                id=f"OLD{n}",
                message=wa.Message(conversation=f"number {n}"),
                timestamp=1_700_000_000 + n,
                from_me=False,
                participant=lid,
                push_name="Bob",
            )
            for n in range(2)
        ],
    )
    await alice.archive.send(
        1,
        "RECENT",
        [group],
        push_names={phone: "Bobby"},
        pairs=[(lid, phone)],
        inline=inline,
    )
    event = await device.event("HistoryArrived")
    assert event["kind"] == "RECENT"
    messages = _merged(event, "messages")
    # Oldest first; the newest one is unread.
    assert [(m["message_id"], int(m["ack"])) for m in messages] == [("OLD0", 3), ("OLD1", 2)]
    assert {m["sender"] for m in messages} == {lid}
    (chat,) = _merged(event, "chats")
    assert (chat["jid"], chat["name"]) == (GROUP, "Friends")
    assert _merged(event, "push_names") == [[phone, "Bobby"]]
    assert _merged(event, "groups")[0]["members"] == {lid: "admin", phone: "participant"}
