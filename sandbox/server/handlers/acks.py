"""Acknowledgements of what the server sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.server.peer import Peer
from sandbox.server.router import Router
from sandbox.wire.node import Node

if TYPE_CHECKING:
    from sandbox.server.server import Server


def register(router: Router) -> None:
    router.stanza("ack")(_ack)


async def _ack(server: Server, peer: Peer, node: Node) -> None:
    if error := node.get("error"):
        server.journal.note(
            "nack", device=f"{peer.number}:{peer.device}", id=node.get("id"), error=error
        )
    server.delivery.acknowledged(peer, node)
