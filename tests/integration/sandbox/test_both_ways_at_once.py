"""As fast as it goes, both ways: no counter of a Signal session is used twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

from linked import Link, Start, race_both_ways

from actors.checkpoint import forget_sessions
from sandbox.app import Sandbox
from sandbox.phone.phone import Phone

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
