"""As fast as it goes, both ways: no counter of a Signal session is used twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

from conftest import Link, Start
from library_device import PATIENCE

from actors.checkpoint import forget_sessions
from sandbox.app import Sandbox
from sandbox.phone.phone import Phone

#: A device that is emulated is given less: what is raced is the same.
_TEXTS = round(300 / PATIENCE)
_PAUSE = 0.002 * PATIENCE
_AT_ONCE = 4
_LOSSES, _AGAIN = 4, 24


async def test_what_is_received_meanwhile_does_not_take_a_session_back(
    sandbox: Sandbox, alice: Phone, bob: Phone, link: Link
) -> None:
    device = await link(alice)
    chat = f"{bob.number}@s.whatsapp.net"
    # Both sides have the session before the race.
    await device.send(chat, "begin")
    await bob.wait_inbox(0, 5 * PATIENCE)
    await bob.send_text(alice.number, "begin")
    await device.event("Received", body="begin")
    done = asyncio.Event()

    async def bob_types() -> int:
        typed = 0
        while not done.is_set():
            await bob.send_text(alice.number, f"typed {typed}")
            typed += 1
            await asyncio.sleep(_PAUSE)
        return typed

    async def device_sends(first: int) -> None:
        for number in range(first, _TEXTS, _AT_ONCE):
            await device.send(chat, f"sent {number}")

    typing = asyncio.create_task(bob_types())
    await asyncio.gather(*(device_sends(first) for first in range(_AT_ONCE)))
    done.set()
    typed = await typing
    wanted = {f"sent {number}" for number in range(_TEXTS)}
    async with asyncio.timeout(30 * PATIENCE):
        while not wanted <= {entry.get("text") for entry in bob.inbox()}:
            if sandbox.server.journal.counters["old counter"]:
                break
            await asyncio.sleep(0.1)
    assert typed > _TEXTS / 10, "both ways at once"
    assert sandbox.server.journal.counters["old counter"] == 0
    assert {e["text"] for e in bob.inbox() if e.get("kind") == "message"} >= wanted
    async with asyncio.timeout(60 * PATIENCE):
        for number in range(typed):
            await device.event("Received", body=f"typed {number}")


async def test_what_a_device_without_sessions_asks_for_again_arrives_whole(
    alice: Phone, bob: Phone, link: Link, start: Start, tmp_path: Path
) -> None:
    sender = await link(alice)
    store = tmp_path / "forgets.db"
    device = await start(store)
    await device.connect()
    await bob.scan((await device.event("QrShown"))["text"])
    await device.event("Connected")
    chat = f"{bob.number}@s.whatsapp.net"
    for round_ in range(_LOSSES):
        await sender.send(chat, f"begin {round_}")
        await device.event("Received", body=f"begin {round_}")
        await device.kill()
        texts = [f"round {round_}, {number}" for number in range(_AGAIN)]
        await asyncio.gather(*(sender.send(chat, text) for text in texts))
        # As after a takeover from a checkpoint that may be stale.
        assert forget_sessions(store) > 0
        device = await start(store)
        await device.connect()
        for text in texts:
            await device.event("Received", body=text)
