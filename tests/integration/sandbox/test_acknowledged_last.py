"""What a device acknowledged, it has: `actors.whatsapp.library.acknowledged_last`."""

from __future__ import annotations

import asyncio
from pathlib import Path

from library_device import LibraryDevice
from linked import Link, Start, acknowledged, until_acknowledged

from sandbox.phone.phone import Phone


async def held(device: LibraryDevice, sender: Phone, number: str, *texts: str) -> set[str]:
    """The device is sent `texts`, and its process does not get to write them down; their ids."""
    await until_acknowledged(sender, {await sender.send_text(number, "before")})
    await device.eval("setattr(spool, 'held', True)")
    ids = {await sender.send_text(number, text) for text in texts}
    async with asyncio.timeout(20):
        while not await device.eval("spool.waiting"):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    # The connection is alive, and goes both ways.
    for _ in range(5):
        assert await device.eval("verb('contacts.check', number=number)", number=number)
    assert not ids & acknowledged(sender)
    return ids


async def test_nothing_is_acknowledged_that_is_not_in_the_spool(
    alice: Phone, bob: Phone, link: Link
) -> None:
    device = await link(alice)
    ids = await held(device, bob, alice.number, "one", "two", "three")
    await device.eval("setattr(spool, 'held', False)")
    await until_acknowledged(bob, ids)
    for text in ("one", "two", "three"):
        await device.event("Received", body=text)


async def test_what_a_killed_process_did_not_write_down_comes_again(
    alice: Phone, bob: Phone, start: Start, tmp_path: Path
) -> None:
    store = tmp_path / "kept.db"
    device = await start(store)
    await device.connect()
    await alice.scan((await device.event("QrShown"))["text"])
    await device.event("Connected")
    ids = await held(device, bob, alice.number, "one", "two", "three")
    await device.kill()
    again = await start(store)
    await again.connect()
    for text in ("one", "two", "three"):
        assert (await again.event("Received"))["body"] == text
    await until_acknowledged(bob, ids)


async def test_what_is_heard_after_the_end_comes_again(
    alice: Phone, bob: Phone, start: Start, tmp_path: Path
) -> None:
    """The process goes on, as one of many sessions does, and the next owner has the same store."""
    store = tmp_path / "kept.db"
    device = await start(store)
    await device.connect()
    await alice.scan((await device.event("QrShown"))["text"])
    await device.event("Connected")
    ids = await held(device, bob, alice.number, "one", "two")
    await device.eval("client.close()")
    await device.eval("bool(spool.close()) and None")
    await device.eval("setattr(spool, 'held', False)")
    again = await start(store)
    await again.connect()
    for text in ("one", "two"):
        assert (await again.event("Received"))["body"] == text
    await until_acknowledged(bob, ids)
