"""Invariant 2, judged by the recipient: a device store that went back in time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from library_device import LibraryDevice

from actors.checkpoint.forget import forget_sessions
from actors.checkpoint.snapshot import take_snapshot
from sandbox.app import Sandbox
from sandbox.phone.phone import Phone

Start = Callable[[Path], Awaitable[LibraryDevice]]


async def _texts(phone: Phone, count: int) -> list[str]:
    for _ in range(100):
        found = [e["text"] for e in phone.inbox() if not e["from_me"]]
        if len(found) >= count:
            break
        await asyncio.sleep(0.05)
    return found


@pytest.mark.parametrize("forgets", [True, False])
async def test_only_a_store_that_forgets_its_ratchets_loses_nothing(
    sandbox: Sandbox, alice: Phone, bob: Phone, start: Start, tmp_path: Path, forgets: bool
) -> None:
    store, chat = tmp_path / "device.db", f"{bob.number}@s.whatsapp.net"
    device = await start(store)
    await device.connect()
    await alice.scan((await device.event("QrShown"))["text"])
    await device.event("Connected")
    # An answer, so that the session leaves its first phase and its ratchet is the only key.
    await device.send(chat, "m1")
    await _texts(bob, 1)
    await bob.send_text(alice.number, "answer")
    await device.event("Received", body="answer")
    await device.send(chat, "m2")
    checkpoint = await take_snapshot(store)
    for number in range(3, 6):
        await device.send(chat, f"m{number}")
    await _texts(bob, 5)
    await device.kill()

    restored = tmp_path / "restored.db"
    restored.write_bytes(checkpoint)
    if forgets:
        assert forget_sessions(restored) > 0
    successor = await start(restored)
    await successor.connect()
    await successor.event("Connected")
    sent = [f"n{number}" for number in range(6, 10)]
    for text in sent:
        await successor.send(chat, text)
    arrived = [t for t in await _texts(bob, 9) if t.startswith("n")]
    if forgets:
        assert arrived == sent
        await bob.send_text(alice.number, "and back")
        await successor.event("Received", body="and back")
    else:
        # The server acknowledged them all; the recipient dropped those whose keys it had used.
        assert arrived != sent, "this is why: if it passes without forgetting, mend the judge"
        assert sandbox.server.journal.counters["old counter"] >= 1
