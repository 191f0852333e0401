"""A client that is closed while it connects: no connection of it is left, and it says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from library_device import LibraryDevice
from waiting import stays, until

from sandbox.app import Sandbox
from sandbox.phone.phone import Phone

Start = Callable[[Path], Awaitable[LibraryDevice]]


async def _stays_alone(sandbox: Sandbox, phone: Phone, seconds: float) -> None:
    """Nothing but the phone itself is connected, and nothing follows."""

    def alone() -> bool:
        return [peer.device for peer in sandbox.server.peers.of_account(phone.number)] == [0]

    await until(alone)
    await stays(alone, seconds)


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.1, 0.3])
async def test_no_connection_follows_a_close(
    sandbox: Sandbox, alice: Phone, start: Start, tmp_path: Path, delay: float
) -> None:
    store = tmp_path / "device.db"
    device = await start(store)
    await device.connect()
    await alice.scan((await device.event("QrShown"))["text"])
    await device.event("Connected")
    await device.kill()

    again = await start(store)
    await again.eval("connect_and_close(delay)", delay=delay)
    # Where it cannot be sure, its process ends; then, too, nothing is left.
    if not await again.eval("client.gone"):
        await again.kill()
    await _stays_alone(sandbox, alice, 2)


@pytest.mark.parametrize("delay", [0.0, 0.005, 0.01, 0.02, 0.04])
async def test_no_connection_follows_a_close_while_the_library_reconnects(
    sandbox: Sandbox, alice: Phone, start: Start, tmp_path: Path, delay: float
) -> None:
    device = await start(tmp_path / "device.db")
    await device.connect()
    shown = await device.event("QrShown")
    # Pairing ends with a connection that the library drops and makes again by itself.
    await alice.scan(shown["text"])
    await device.event("Paired")
    await asyncio.sleep(delay)
    await device.eval("client.close()")
    assert await device.eval("client.gone")
    await _stays_alone(sandbox, alice, 1)
