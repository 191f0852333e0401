"""What a phone sends once to a device that it has just linked, as soon as it can be written to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.server.peer import Peer

if TYPE_CHECKING:
    from sandbox.server.server import Server

__all__ = ["greet"]


async def greet(server: Server, peer: Peer) -> None:
    """Greet the device, unless that was done. One that says it is active before it has uploaded
    its keys is greeted when it has; a greeting that fails is tried at the next login."""
    device = server.directory.device(peer.number, peer.device)
    marker = f"greeted {peer.number}:{peer.device}"
    if device is None or not device.has_keys or marker in server.greeted:
        return
    if server.store.fact(marker) is not None:
        return
    server.greeted.add(marker)
    try:
        for one in server.on_new_device:
            await one(device)
        server.store.set_fact(marker, b"1")
    finally:
        server.greeted.discard(marker)
