"""The unmodified library against the sandbox: pairing, talking, waiting, failing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from library_device import PATIENCE, LibraryDevice
from waiting import stays

from sandbox.app import Sandbox
from sandbox.phone.phone import Phone
from sandbox.server.directory import jid_of
from sandbox.server.faults import Fault
from sandbox.server.login import stream_error

Link = Callable[[Phone], Awaitable[LibraryDevice]]
Start = Callable[[Path], Awaitable[LibraryDevice]]


def chat(phone: Phone) -> str:
    return f"{phone.number}@s.whatsapp.net"


async def texts(phone: Phone, count: int) -> list[str]:
    """The texts that a phone decrypted from others, once there are `count`."""
    for _ in range(200):
        found = [e["text"] for e in phone.inbox() if not e["from_me"]]
        if len(found) >= count:
            return found
        await asyncio.sleep(0.05)
    return found


async def test_a_code_pairs_and_a_wrong_one_does_not(
    sandbox: Sandbox, alice: Phone, start: Start, tmp_path: Path
) -> None:
    device = await start(tmp_path / "device.db")
    await device.connect()
    await device.event("QrShown")
    code = await device.eval("client.pair_phone(number)", number=alice.number)
    await alice.enter_code("ABCD-EFGH")
    for _ in range(100):
        if sandbox.server.journal.counters["link code wrong"]:
            break
        await asyncio.sleep(0.05)
    assert sandbox.server.journal.counters["link code wrong"] == 1
    assert sandbox.server.directory.devices(alice.number).keys() == {0}
    code = await device.eval("client.pair_phone(number)", number=alice.number)
    await alice.enter_code(code)
    await device.event("Connected")
    assert sandbox.server.directory.devices(alice.number).keys() == {0, 1}


async def test_all_devices_of_both_sides_get_every_message(
    alice: Phone, bob: Phone, link: Link
) -> None:
    first, second = await link(alice), await link(alice)
    other = await link(bob)
    message_id = await first.send(chat(bob), "one")
    await other.event("Received", body="one", from_me=False)
    await second.event("Received", body="one", from_me=True, message_id=message_id)
    assert (await bob.wait_inbox(0, 5))[0]["text"] == "one"
    await bob.send_text(alice.number, "two")
    for device in (first, second):
        await device.event("Received", body="two", from_me=False)
    await other.event("Received", body="two", from_me=True)


async def test_a_device_linked_later_is_announced(alice: Phone, bob: Phone, link: Link) -> None:
    device = await link(alice)
    await device.send(chat(bob), "to the phone alone")
    late = await link(bob)
    await device.send(chat(bob), "to the new device, too")
    await late.event("Received", body="to the new device, too")


async def test_offline_messages_wait_in_order(
    sandbox: Sandbox, alice: Phone, bob: Phone, link: Link, start: Start, tmp_path: Path
) -> None:
    store = tmp_path / "kept.db"
    device = await start(store)
    await device.connect()
    await alice.scan((await device.event("QrShown"))["text"])
    await device.event("Connected")
    await bob.send_text(alice.number, "while there")
    await device.event("Received", body="while there")
    await asyncio.sleep(0.5)
    await device.kill()
    for number in range(5):
        await bob.send_text(alice.number, f"waits {number}")
    again = await start(store)
    await again.connect()
    for number in range(5):
        assert (await again.event("Received"))["body"] == f"waits {number}"
    await stays(
        lambda: [e for e in again.events if e["event"] == "Received"] == [],
        0.5,
        "once, and not again",
    )
    assert sandbox.server.store.queued(alice.number, 1) == []


async def test_a_lost_session_is_negotiated_anew_by_a_retry(
    alice: Phone, bob: Phone, link: Link, sandbox: Sandbox
) -> None:
    device = await link(alice)
    await bob.send_text(alice.number, "first")
    await device.event("Received", body="first")
    # Bob's phone loses its session with the device: what the device sends next cannot be read.
    await device.send(chat(bob), "begins a session")
    assert await texts(bob, 1) == ["begins a session"]
    for number in (0, 1):
        address = bob._cipher._address(jid_of(alice.account, device=number))
        sandbox.server.store.set_signal(bob.number, "session", address, None)
    await device.send(chat(bob), "unreadable at first")
    assert await texts(bob, 2) == ["begins a session", "unreadable at first"]
    assert sandbox.server.journal.counters["retry asked"] >= 1


async def test_prekeys_run_out_and_are_refilled(
    sandbox: Sandbox, alice: Phone, bob: Phone, link: Link
) -> None:
    await link(alice)
    assert sandbox.server.store.count_prekeys(alice.number, 1) >= 811
    sandbox.server.store.drop_prekeys(alice.number, 1, 5)
    await bob.send_text(alice.number, "takes the fifth last one")
    for _ in range(100):
        if sandbox.server.store.count_prekeys(alice.number, 1) > 50:
            break
        await asyncio.sleep(0.05)
    assert sandbox.server.store.count_prekeys(alice.number, 1) > 50


@pytest.mark.parametrize(
    ("code", "expected"),
    [(401, "LoggedOut"), (402, "Banned"), (405, "Failed"), (403, "LoggedOut")],
)
async def test_refused_logins_are_reported(
    sandbox: Sandbox, alice: Phone, link: Link, code: int, expected: str
) -> None:
    device = await link(alice)
    sandbox.server.faults.add(Fault(kind="refuse_login", number=alice.number, code=code))
    peer = sandbox.server.peers.get(alice.number, 1)
    assert peer is not None
    await peer.end()
    await device.event(expected)


async def test_stream_errors(sandbox: Sandbox, alice: Phone, link: Link) -> None:
    device = await link(alice)

    async def strike(code: int | None, conflict: str = "") -> None:
        peer = sandbox.server.peers.get(alice.number, 1)
        assert peer is not None
        await peer.end(stream_error(code=code, conflict=conflict))

    await strike(503)
    await device.event("Disconnected")
    await device.event("Connected")
    await strike(None, "replaced")
    await device.event("Replaced")


async def test_unlinking_from_either_side(sandbox: Sandbox, alice: Phone, link: Link) -> None:
    device, other = await link(alice), await link(alice)
    await alice.unlink(1)
    await device.event("LoggedOut")
    await other.eval("client.logout()")
    for _ in range(100):
        if sandbox.server.directory.devices(alice.number).keys() == {0}:
            break
        await asyncio.sleep(0.05)
    assert sandbox.server.directory.devices(alice.number).keys() == {0}


async def test_dropped_frozen_and_delayed_connections_lose_nothing(
    sandbox: Sandbox, alice: Phone, bob: Phone, link: Link
) -> None:
    device = await link(alice)
    await link(bob)
    sandbox.server.faults.add(Fault(kind="delay", number=alice.number, device=1, seconds=0.05))
    for number in range(4):
        if number == 2:
            sandbox.server.faults.add(Fault(kind="drop", number=alice.number, device=1, times=1))
        await bob.send_text(alice.number, f"message {number}")
    for number in range(4):
        await device.event("Received", body=f"message {number}")
    sandbox.server.faults.clear()
    frozen = sandbox.server.faults.add(Fault(kind="freeze", number=alice.number, device=1, times=1))
    await bob.send_text(alice.number, "frozen")
    await stays(lambda: [e for e in device.events if e.get("body") == "frozen"] == [], 0.3)
    sandbox.server.faults.remove(frozen.id)
    await device.event("Received", body="frozen")


async def test_groups_with_sender_keys(
    sandbox: Sandbox, alice: Phone, bob: Phone, link: Link
) -> None:
    device, other = await link(alice), await link(bob)
    group = await device.eval(
        "library.create_group('Friends', [jid(bob)])",
        bob=bob.number,
    )
    assert "Friends" in str(group)
    (group_id,) = sandbox.server.store.documents("group")
    for number in range(2):
        await device.send(f"{group_id}@g.us", f"to all {number}")
        await other.event("Received", body=f"to all {number}", chat=f"{group_id}@g.us")
    await bob.send_text(f"{group_id}@g.us", "from the phone")
    await device.event("Received", body="from the phone")
    assert await texts(bob, 2) == ["to all 0", "to all 1"]


async def test_media_up_and_down(alice: Phone, bob: Phone, link: Link) -> None:
    device = await link(alice)
    data = bytes(range(256)) * 400
    await device.eval(
        "asyncio.ensure_future(library.send_document(jid(bob), bytes.fromhex(data), "
        "filename='a.bin', mimetype='application/octet-stream'))",
        bob=bob.number,
        data=data.hex(),
    )
    (entry,) = await bob.wait_inbox(0, 15)
    assert entry["type"] == "documentMessage"
    assert bob.download(entry["id"]) == data
    await bob.send_media(alice.number, "image", data, mimetype="image/jpeg", caption="look")
    received = await device.event("Received", content="image")
    assert received["body"] == "look"


async def test_the_library_reports_where_to_upload_and_is_none_the_worse(
    sandbox: Sandbox, alice: Phone, bob: Phone, link: Link
) -> None:
    device = await link(alice)
    host = await device.eval("host_of(client)")
    assert host == ["mmg.whatsapp.net", f"{alice.number}:1"]
    # Its history may be downloaded meanwhile; nothing is uploaded before the document.
    counters = sandbox.server.journal.counters
    assert counters["media uploaded"] == 0
    await device.eval(
        "asyncio.ensure_future(library.send_document(jid(bob), b'by the library', "
        "filename='a.bin', mimetype='application/octet-stream'))",
        bob=bob.number,
    )
    (entry,) = await bob.wait_inbox(0, 15)
    assert bob.download(entry["id"]) == b"by the library"
    assert counters["media uploaded"] == 1


async def test_settings_of_the_phone_reach_the_device(alice: Phone, link: Link) -> None:
    device = await link(alice)
    for _ in range(100):
        name = await device.eval("library.get_me()")
        if "Alice" in str(name):
            break
        await asyncio.sleep(0.1)
    assert "Alice" in str(name), "the push name travels as app state"


async def test_a_blocked_account_is_not_heard(
    sandbox: Sandbox, alice: Phone, bob: Phone, link: Link
) -> None:
    device = await link(alice)
    sandbox.server.store.set_document("blocklist", alice.number, [bob.number])
    await bob.send_text(alice.number, "blocked")
    sandbox.server.store.set_document("blocklist", alice.number, None)
    await bob.send_text(alice.number, "heard")
    await device.event("Received", body="heard")
    assert [e for e in device.events if e.get("body") == "blocked"] == []


async def test_nothing_the_library_asks_is_unhandled(
    sandbox: Sandbox, alice: Phone, bob: Phone, link: Link
) -> None:
    device = await link(alice)
    await device.send(chat(bob), "hello")
    await stays(lambda: sandbox.server.journal.unhandled == {}, 1)


async def test_the_library_formats_no_line_that_would_be_dropped(
    alice: Phone, bob: Phone, start: Start, tmp_path: Path
) -> None:
    device = await start(tmp_path / "device.db")
    await device.eval("setattr(spool, 'lines', [])")
    await device.eval(
        "setattr(__import__('neonize.aioze.client', fromlist=['_']), 'log_whatsmeow',"
        " lambda data, size: spool.lines.append(ctypes.string_at(data, size).decode('latin1')))"
    )
    await device.connect()
    await alice.scan((await device.event("QrShown"))["text"])
    await device.event("Connected")
    await device.send(chat(bob), "hello")
    await bob.wait_inbox(0, 5 * PATIENCE)
    said = await device.eval("spool.lines")
    assert any("INFO" in line for line in said), "lines come this way"
    assert not [line for line in said if "DEBUG" in line]
