"""Who types: sent at once, and for a few seconds to devices that come back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sandbox.server.peer import Peer
from sandbox.wire.node import Node

if TYPE_CHECKING:
    from sandbox.server.server import Server

__all__ = ["TTL_SECONDS", "publish", "send_waiting"]

#: Older ones are nobody's news (whatsapp-rust: tests/e2e/tests/chatstate_ttl.rs).
TTL_SECONDS = 3.0


async def publish(server: Server, number: str, state: Node) -> None:
    """To all devices of an account."""
    now = time.monotonic()
    for device in server.directory.devices(number):
        peer = server.peers.get(number, device)
        if peer is not None and peer.active:
            await peer.send(state)
        else:
            # The last one of a chat is the one that counts.
            chat = f"{state.get('from')} {state.get('participant')}"
            server.chatstates.setdefault((number, device), {})[chat] = (now, state)


async def send_waiting(server: Server, peer: Peer) -> None:
    """Send a device that has come back what is still true."""
    waiting = server.chatstates.pop((peer.number, peer.device), {})
    for at, state in waiting.values():
        if time.monotonic() - at < TTL_SECONDS:
            await peer.send(state)
