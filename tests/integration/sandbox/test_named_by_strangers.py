"""What a stranger's program may say beyond what WhatsApp's clients do, through the real library.

The server passes on who sends and to whom; ids, wrappers and protocol messages are the sender's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from library_device import LibraryDevice

from sandbox.app import Sandbox
from sandbox.crypto.protobuf import wa
from sandbox.phone import content, history
from sandbox.phone.phone import Phone
from sandbox.server.directory import jid_of
from sandbox.wire.jid import Jid
from sandbox.wire.node import Node

pytestmark = pytest.mark.attack

Link = Callable[[Phone], Awaitable[LibraryDevice]]


@pytest.fixture
def carol(sandbox: Sandbox) -> Callable[[], Awaitable[Phone]]:
    return lambda: sandbox.phones.add("4915299900001", "Carol")


async def _address(phone: Phone, device: LibraryDevice) -> Jid:
    number = int(str(await device.do("client.me.jid")).partition(":")[2].partition("@")[0])
    return jid_of(phone.account, device=number)


async def test_a_receipt_is_of_the_chat_that_it_comes_from(
    alice: Phone, bob: Phone, carol: Callable[[], Awaitable[Phone]], link: Link
) -> None:
    """Whatever ids it has, and whomever it names besides."""
    device, forger = await link(alice), await carol()
    sent = await device.send(f"{bob.number}@s.whatsapp.net", "precious")
    await device.event("ReceiptSeen", kind="delivered")
    for kind in ("read", "played"):
        for named in ("recipient", "participant"):
            node = Node.make(
                "receipt", id=sent, to=jid_of(alice.account), type=kind, t=int(time.time())
            )
            node.attrs[named] = jid_of(bob.account)
            await forger._server.handle(forger, node)
            reported = await device.event("ReceiptSeen", kind=kind)
            assert reported["message_ids"] == [sent]
            # A stranger is known by the one address that WhatsApp gives.
            assert {
                reported[name] for name in ("chat", "sender", "chat_address", "sender_address")
            } == {str(jid_of(forger.account))}


async def test_a_stranger_gets_no_message_of_others_sent_again(
    alice: Phone, bob: Phone, carol: Callable[[], Awaitable[Phone]], link: Link
) -> None:
    device, forger = await link(alice), await carol()
    sent = await device.send(f"{bob.number}@s.whatsapp.net", "precious")
    assert await bob.wait_inbox(0, 20)
    to = await _address(alice, device)
    # So that the two know each other, as those do who were in a chat once.
    await forger.send_text(alice.number, "hello")
    await device.event("Received", body="hello")

    async def asks(phone: Phone) -> None:
        retry = Node.make("retry", count=1, id=sent, t=int(time.time()), v=1)
        keys = phone._cipher.retry_keys()
        asked = Node.make("receipt", [retry, *keys], id=sent, to=to, type="retry")
        await phone._server.handle(phone, asked)

    await asks(forger)
    await asks(bob)
    await device.event("ReceiptSeen", kind="retry", sender=f"{bob.number}@s.whatsapp.net")

    # What Bob asks for is sent to him again; what Carol asked for before him is not.
    def copies() -> list[str]:
        notes = [e for e in forger._server.journal.entries if e["kind"] == "message"]
        return [copy for note in notes if note["id"] == sent for copy in note["copies"]]

    async with asyncio.timeout(20):
        while copies().count(f"{bob.number}:0") < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert copies().count(f"{bob.number}:0") == 2
    assert f"{forger.number}:0" not in copies()
    assert not [entry for entry in forger.inbox() if entry["id"] == sent]


async def test_a_stranger_brings_no_history_and_no_keys(
    alice: Phone, bob: Phone, link: Link
) -> None:
    device = await link(alice)
    await device.event("HistoryArrived")
    chat = str(jid_of(bob.account))
    past = history.HistoryMessage(
        id="3EB0FORGED", message=content.text("I owe Bob"), timestamp=int(time.time()), from_me=True
    )
    blob = history.sync(
        "RECENT",
        [history.HistoryChat(id=chat, messages=[past])],
        push_names={chat: "FORGED"},
        pairs=[("4711@lid", chat)],
    )
    forged = [history.notification(blob, inline=history.packed(blob))]
    protocol = wa.Message.ProtocolMessage
    share = protocol(type=protocol.APP_STATE_SYNC_KEY_SHARE)
    key = share.appStateSyncKeyShare.keys.add()
    key.keyId.keyId = b"\x00\x00\xff\xff\xff\xff"
    key.keyData.keyData = b"k" * 32
    key.keyData.fingerprint.rawId = 1
    forged.append(wa.Message(protocolMessage=share))
    before = await device.do("client.rows('SELECT count(*) FROM whatsmeow_app_state_sync_keys')")
    device.events.clear()
    for one in forged:
        await bob.send_message(bob.address(alice.number), one)
    await bob.send_text(alice.number, "the last one")
    await device.event("Received", body="the last one")
    reported = [event for event in device.events if event["event"] == "HistoryArrived"]
    assert not any(event["chunks"] for event in reported)
    assert "3EB0FORGED" not in str(device.events)
    assert await device.do("client.by_phone('4711@lid')") == "4711@lid"
    after = await device.do("client.rows('SELECT count(*) FROM whatsmeow_app_state_sync_keys')")
    assert after == before


async def test_a_stranger_sends_nothing_in_the_accounts_name(
    alice: Phone, bob: Phone, link: Link
) -> None:
    """The wrapper in which the account's own devices notify each other of their sends."""
    device = await link(alice)
    wrapped = wa.Message(
        deviceSentMessage=wa.Message.DeviceSentMessage(
            destinationJid="4915299999999@s.whatsapp.net", message=content.text("in your name")
        )
    )
    await bob.send_message(bob.address(alice.number), wrapped)
    reported = await device.event("Received", body="in your name")
    assert reported["from_me"] is False
    assert reported["chat"] == reported["sender"] == f"{bob.number}@s.whatsapp.net"
