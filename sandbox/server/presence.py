"""Who is online, and who is typing. Sent to those who are connected, and not later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.server.directory import jid_of
from sandbox.server.peer import Peer
from sandbox.wire.node import Node

if TYPE_CHECKING:
    from sandbox.server.server import Server

__all__ = ["presence_node", "publish_presence", "subscribe"]


def presence_node(server: Server, number: str, *, to: str) -> Node:
    """How an account is now, as `to` sees it."""
    own = jid_of(server.directory.account(number), lid=server.directory.lids(number, to))
    if any(peer.available for peer in server.peers.of_account(number)):
        return Node.make("presence", from_=own)
    return Node.make("presence", from_=own, type="unavailable", last=server.now())


async def publish_presence(server: Server, number: str) -> None:
    """Publish it to the subscribers of an account."""
    for subscriber in server.presence_of.get(number, set()):
        peer = server.peers.get(*subscriber)
        if peer is not None and peer.active:
            await peer.send(presence_node(server, number, to=peer.number))


async def subscribe(server: Server, peer: Peer, number: str) -> None:
    """A device wants to know of an account; it gets at once how it is."""
    server.presence_of.setdefault(number, set()).add((peer.number, peer.device))
    await peer.send(presence_node(server, number, to=peer.number))
