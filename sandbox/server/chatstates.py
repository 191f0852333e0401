"""Who types: told at once, and for a few seconds to devices that come back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sandbox.server.peer import Peer
from sandbox.wire.node import Node

if TYPE_CHECKING:
    from sandbox.server.server import Server

__all__ = ["TTL_SECONDS", "tell", "tell_waiting"]

#: Older ones are nobody's news (whatsapp-rust: tests/e2e/tests/chatstate_ttl.rs).
TTL_SECONDS = 3.0


async def tell(server: Server, number: str, told: Node) -> None:
    """Tell all devices of an account."""
    now = time.monotonic()
    for device in server.directory.devices(number):
        peer = server.peers.get(number, device)
        if peer is not None and peer.active:
            await peer.send(told)
        else:
            # The last one of a chat is the one that counts.
            chat = f"{told.get('from')} {told.get('participant')}"
            server.chatstates.setdefault((number, device), {})[chat] = (now, told)


async def tell_waiting(server: Server, peer: Peer) -> None:
    """Tell a device that has come back what is still true."""
    waiting = server.chatstates.pop((peer.number, peer.device), {})
    for at, told in waiting.values():
        if time.monotonic() - at < TTL_SECONDS:
            await peer.send(told)
