"""Sending while receiving, as fast as it goes: no counter of a Signal session is used twice."""

from __future__ import annotations

import asyncio

from conftest import Link

from sandbox.app import Sandbox
from sandbox.phone.phone import Phone

_TEXTS = 300
_AT_ONCE = 4


async def test_what_is_received_meanwhile_does_not_take_a_session_back(
    sandbox: Sandbox, alice: Phone, bob: Phone, link: Link
) -> None:
    device = await link(alice)
    chat = f"{bob.number}@s.whatsapp.net"
    # Both sides have the session before the race.
    await device.send(chat, "begin")
    await bob.wait_inbox(0, 5)
    await bob.send_text(alice.number, "begin")
    await device.event("Received", body="begin")
    done = asyncio.Event()

    async def bob_types() -> int:
        typed = 0
        while not done.is_set():
            await bob.send_text(alice.number, f"typed {typed}")
            typed += 1
            await asyncio.sleep(0.002)
        return typed

    async def device_sends(first: int) -> None:
        for number in range(first, _TEXTS, _AT_ONCE):
            await device.send(chat, f"sent {number}")

    typing = asyncio.create_task(bob_types())
    await asyncio.gather(*(device_sends(first) for first in range(_AT_ONCE)))
    done.set()
    typed = await typing
    wanted = {f"sent {number}" for number in range(_TEXTS)}
    async with asyncio.timeout(30):
        while not wanted <= {entry.get("text") for entry in bob.inbox()}:
            if sandbox.server.journal.counters["old counter"]:
                break
            await asyncio.sleep(0.1)
    assert typed > _TEXTS / 10, "both ways at once"
    assert sandbox.server.journal.counters["old counter"] == 0
    assert {e["text"] for e in bob.inbox() if e.get("kind") == "message"} >= wanted
    async with asyncio.timeout(60):
        for number in range(typed):
            await device.event("Received", body=f"typed {number}")
