"""Labels and archived chats, set on a phone, as the library's devices report them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from library_device import LibraryDevice
from waiting import stays

from sandbox.phone.phone import Phone

Link = Callable[[Phone], Awaitable[LibraryDevice]]


async def test_what_a_phone_sets_is_reported_by_its_own_devices_only(
    alice: Phone, bob: Phone, link: Link
) -> None:
    device, other = await link(alice), await link(bob)
    chat = str(alice.address(bob.number))
    await alice.send_text(bob.number, "hello")
    await other.event("Received", body="hello")

    await alice.settings.label("7", name="Lead", color=3)
    reported = await device.event("LabelChanged")
    assert (reported["id"], reported["name"], reported["color"], reported["deleted"]) == (
        "7",
        "Lead",
        3,
        False,
    )
    await alice.settings.label_chat("7", chat)
    reported = await device.event("ChatLabeled")
    assert (reported["label"], reported["labeled"]) == ("7", True)
    await alice.settings.label_chat("7", chat, labeled=False)
    assert not (await device.event("ChatLabeled"))["labeled"]
    await alice.settings.label("7", name="Lead", color=3, deleted=True)
    assert (await device.event("LabelChanged"))["deleted"]

    await alice.settings.archive(chat)
    assert (await device.event("ChatArchived"))["archived"]
    await alice.settings.archive(chat, archived=False)
    assert not (await device.event("ChatArchived"))["archived"]

    kinds = {"LabelChanged", "ChatLabeled", "ChatArchived"}
    await stays(lambda: not [event for event in other.events if event["event"] in kinds], 1)


async def test_what_was_set_before_a_device_was_linked_is_synced_to_it(
    alice: Phone, link: Link
) -> None:
    await alice.settings.label("3", name="Old", color=1)
    device = await link(alice)
    assert (await device.event("LabelChanged"))["name"] == "Old"


async def test_what_a_device_sets_itself_is_reported_as_well(
    alice: Phone, bob: Phone, link: Link
) -> None:
    device = await link(alice)
    await alice.settings.label("3", name="Old", color=1)
    await device.event("LabelChanged")
    edit = "verb('labels.edit', label='1001', name='Mine', color=2, deleted=False)"
    await device.eval(edit)
    reported = await device.event("LabelChanged")
    assert (reported["id"], reported["name"]) == ("1001", "Mine")


async def test_a_damaged_message_is_reported_as_waiting_and_arrives_when_asked_for_again(
    alice: Phone, bob: Phone, link: Link
) -> None:
    device = await link(alice)
    await bob.send_text(alice.number, "first")
    await device.event("Received", body="first")
    bob.corrupts = 1
    sent = await bob.send_text(alice.number, "second")
    waiting = await device.event("Undecryptable")
    assert waiting["message_id"] == sent
    assert (await device.event("Received", body="second"))["message_id"] == sent


async def test_a_vote_in_a_poll_from_before_the_device_was_linked_is_not_readable(
    alice: Phone, bob: Phone, link: Link
) -> None:
    poll = await alice.send_poll(bob.number, "Where?", ["here", "there"])
    assert await bob.wait_inbox(0, 20)
    device = await link(alice)
    await bob.vote(poll, ["here"])
    reported = await device.event("Received", content="poll_vote")
    assert "vote_hashes" not in reported["payload"]
