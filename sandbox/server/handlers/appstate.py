"""App state collections: patches in, patches and snapshots out (whatsmeow: appstate.go)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sandbox.server import collections
from sandbox.server.peer import Peer
from sandbox.server.router import Router
from sandbox.wire.node import Node

if TYPE_CHECKING:
    from sandbox.server.server import Server


def register(router: Router) -> None:
    router.iq("w:sync:app:state", "set", children=["sync"])(_sync)


async def _sync(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    sync = node.child("sync")
    answers = [
        await _collection(server, peer, asked)
        for asked in (sync.children("collection") if sync else [])
    ]
    return [Node.make("sync", answers)]


async def _collection(server: Server, peer: Peer, asked: Node) -> Node:
    name = asked.get("name")
    known = int(asked.get("version", "0"))
    current = collections.load(server, peer.number, name)
    patch = asked.child("patch")
    if patch is not None:
        if known != current.version:
            error = Node.make("error", code=409, text="conflict")
            return Node.make(
                "collection",
                [error, _patches(server, peer.number, name, known)],
                name=name,
                type="error",
            )
        if not await collections.add(server, peer.number, name, patch.data, by=peer.device):
            error = Node.make("error", code=400, text="bad-request")
            return Node.make("collection", [error], name=name, type="error")
        return Node.make("collection", name=name, version=current.version + 1)
    if asked.get("return_snapshot") == "true" and current.version:
        reference = collections.upload_snapshot(server, current)
        return Node.make(
            "collection",
            [Node.make("snapshot", reference)],
            name=name,
            version=current.version,
        )
    return Node.make(
        "collection",
        [_patches(server, peer.number, name, known)],
        name=name,
        version=current.version,
    )


def _patches(server: Server, number: str, name: str, after: int) -> Node:
    found = server.store.patches(number, name, after)
    return Node.make("patches", [Node.make("patch", patch) for patch in found])
