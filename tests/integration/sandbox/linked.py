"""Devices that the real library linked, and how they race."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from library_device import PATIENCE, LibraryDevice

from sandbox.app import Sandbox
from sandbox.phone.phone import Phone

Link = Callable[[Phone], Awaitable[LibraryDevice]]
Start = Callable[[Path], Awaitable[LibraryDevice]]

#: A device that is emulated is given less: what is raced is the same.
TEXTS = round(300 / PATIENCE)
_PAUSE = 0.002 * PATIENCE
_AT_ONCE = 4


async def begun(alice: Phone, bob: Phone, link: Link) -> tuple[LibraryDevice, str]:
    """A device of Alice's and its chat with Bob, in which both sides have the session."""
    device = await link(alice)
    chat = f"{bob.number}@s.whatsapp.net"
    await device.send(chat, "begin")
    await bob.wait_inbox(0, 5 * PATIENCE)
    await bob.send_text(alice.number, "begin")
    await device.event("Received", body="begin")
    return device, chat


async def race_both_ways(sandbox: Sandbox, alice: Phone, bob: Phone, link: Link) -> None:
    """What is received while it sends does not take a Signal session back."""
    device, chat = await begun(alice, bob, link)
    done = asyncio.Event()

    async def bob_types() -> int:
        typed = 0
        while not done.is_set():
            await bob.send_text(alice.number, f"typed {typed}")
            typed += 1
            await asyncio.sleep(_PAUSE)
        return typed

    async def device_sends(first: int) -> None:
        for number in range(first, TEXTS, _AT_ONCE):
            await device.send(chat, f"sent {number}")

    typing = asyncio.create_task(bob_types())
    await asyncio.gather(*(device_sends(first) for first in range(_AT_ONCE)))
    done.set()
    typed = await typing
    wanted = {f"sent {number}" for number in range(TEXTS)}
    async with asyncio.timeout(30 * PATIENCE):
        while not wanted <= {entry.get("text") for entry in bob.inbox()}:
            if sandbox.server.journal.counters["old counter"]:
                break
            await asyncio.sleep(0.1)
    assert typed > TEXTS / 10, "both ways at once"
    assert sandbox.server.journal.counters["old counter"] == 0
    assert {e["text"] for e in bob.inbox() if e.get("kind") == "message"} >= wanted
    async with asyncio.timeout(60 * PATIENCE):
        for number in range(typed):
            await device.event("Received", body=f"typed {number}")


def acknowledged(sender: Phone) -> set[str]:
    """Ids of messages whose receipt the linked device of the other side has sent."""
    receipts = sender.inbox(kind="receipt")
    return {one for entry in receipts if entry["by_device"] == 1 for one in entry["ids"]}


async def until_acknowledged(sender: Phone, ids: set[str]) -> None:
    async with asyncio.timeout(20):
        while not ids <= acknowledged(sender):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
