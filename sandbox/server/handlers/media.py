"""Where attachments go (whatsmeow: mediaconn.go); `sandbox.server.media_http` takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sandbox.server.peer import Peer
from sandbox.server.router import Router
from sandbox.wire.node import Node

if TYPE_CHECKING:
    from sandbox.server.server import Server


def register(router: Router) -> None:
    router.iq("w:m", "set", "get", children=["media_conn"])(_connection)


async def _connection(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    return [
        Node.make(
            "media_conn",
            [Node.make("host", hostname=peer.media_host)],
            auth=f"{peer.number}:{peer.device}",
            ttl=300,
            auth_ttl=21600,
            max_buckets=12,
        )
    ]
