"""As fast as it goes, both ways: no counter of a Signal session is used twice."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path

from library_device import PATIENCE
from linked import TEXTS, Link, Start, begun, race_both_ways

from actors.checkpoint.forget import forget_sessions
from sandbox.app import Sandbox
from sandbox.phone.phone import Phone
from sandbox.wire.node import Node

_LOSSES, _AGAIN = 4, 24


async def test_what_is_received_meanwhile_does_not_take_a_session_back(
    sandbox: Sandbox, alice: Phone, bob: Phone, link: Link
) -> None:
    await race_both_ways(sandbox, alice, bob, link)


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


async def test_what_is_asked_for_again_meanwhile_takes_no_counter_of_what_is_sent(
    sandbox: Sandbox, alice: Phone, bob: Phone, link: Link
) -> None:
    """A phone asks for what it has, in the session that it has: answers and sends share it."""
    device, chat = await begun(alice, bob, link)
    sent = asyncio.Event()

    async def bob_asks() -> set[str]:
        asked: set[str] = set()
        while not sent.is_set():
            for entry in bob.inbox(kind="message"):
                if entry["id"] not in asked and not entry["from_me"]:
                    asked.add(entry["id"])
                    await bob.send_stanza(_asks_for(entry["id"], alice))
            await asyncio.sleep(0.001)
        return asked

    asking = asyncio.create_task(bob_asks())
    for number in range(TEXTS):
        await device.send(chat, f"sent {number}")
    sent.set()
    asked = await asking
    assert len(asked) > TEXTS / 2
    wanted = {f"sent {number}" for number in range(TEXTS)}
    async with asyncio.timeout(30 * PATIENCE):
        while sandbox.server.journal.counters["old counter"] == 0:
            times = Counter(e["id"] for e in bob.inbox(kind="message"))
            if all(times[one] > 1 for one in asked):
                break
            await asyncio.sleep(0.1)
    assert sandbox.server.journal.counters["old counter"] == 0
    assert {entry.get("text") for entry in bob.inbox()} >= wanted


def _asks_for(message_id: str, sender: Phone) -> Node:
    """A retry receipt without keys: the session is as it was."""
    retry = Node.make("retry", count=1, id=message_id, t=round(time.time()), v=1)
    to = f"{sender.number}:1@s.whatsapp.net"
    return Node.make("receipt", [retry], id=message_id, to=to, type="retry")
