"""Pings, passive and active, server properties: what keeps a connection going."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sandbox.server import chatstates, greeting, notifications, privacy_tokens
from sandbox.server.peer import Peer
from sandbox.server.router import Router
from sandbox.wire.node import Node

if TYPE_CHECKING:
    from sandbox.server.server import Server


def register(router: Router) -> None:
    router.iq("w:p", "get")(_nothing)
    router.iq("urn:xmpp:ping", "get")(_nothing)
    router.iq("passive", "set", children=["active"])(_active)
    router.iq("passive", "set", children=["passive"])(_passive)
    router.iq("urn:xmpp:whatsapp:dirty", "set")(_nothing)
    router.iq("w:stats", "set")(_nothing)
    router.iq("w", "get")(_properties)
    router.iq("abt", "get")(_properties)
    router.iq("urn:xmpp:whatsapp:push", "set", "get")(_nothing)
    router.stanza("ib")(_statistics)


async def _nothing(server: Server, peer: Peer, node: Node) -> None:
    return None


async def _statistics(server: Server, peer: Peer, node: Node) -> None:
    """Statistics of the client's; nobody answers them."""


async def _active(server: Server, peer: Peer, node: Node) -> None:
    """The device is ready for what waits for it."""
    if not peer.active:
        server.later(_begin(server, peer))


async def _begin(server: Server, peer: Peer) -> None:
    await server.delivery.flush(peer)
    if server.store.count_prekeys(peer.number, peer.device) == 0:
        # Some clients upload keys only when they are asked to (whatsmeow does so before).
        await notifications.prekeys_low(server, peer.number, peer.device, 0)
    await chatstates.send_waiting(server, peer)
    await greeting.greet(server, peer)


async def _passive(server: Server, peer: Peer, node: Node) -> None:
    peer.active = False


async def _properties(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    found = privacy_tokens.properties(server, peer.number)
    return [Node.make("props", found, protocol=1, hash="sandbox")]
