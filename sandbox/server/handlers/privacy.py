"""Privacy settings and privacy tokens (whatsmeow: privacysettings.go, tctoken)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sandbox.server.peer import Peer
from sandbox.server.router import Router
from sandbox.wire.node import Node

if TYPE_CHECKING:
    from sandbox.server.server import Server


def register(router: Router) -> None:
    router.iq("privacy", "get", children=["privacy"])(_get)
    router.iq("privacy", "set", children=["privacy"])(_set)
    router.iq("privacy", "set", "get", children=["tokens"])(_tokens)
    router.iq("disappearing_mode", "set")(_disappearing)
    router.iq("status", "get", children=["privacy"])(_status)


async def _get(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    settings = server.directory.account(peer.number).privacy
    categories = [Node.make("category", name=name, value=value) for name, value in settings.items()]
    return [Node.make("privacy", categories)]


async def _set(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    account = server.directory.account(peer.number)
    asked = node.child("privacy")
    for category in asked.children("category") if asked else []:
        account.privacy[category.get("name")] = category.get("value")
    server.directory.save(account)
    return await _get(server, peer, node)


async def _tokens(server: Server, peer: Peer, node: Node) -> None:
    """Tokens of trusted contacts are not asked for by anything here."""


async def _disappearing(server: Server, peer: Peer, node: Node) -> None:
    account = server.directory.account(peer.number)
    asked = node.child("disappearing_mode")
    account.privacy["disappearing_mode"] = asked.get("duration") if asked else "0"
    server.directory.save(account)


async def _status(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    """Who gets stories: all contacts (whatsmeow: broadcast.go)."""
    listing = Node.make("list", type="contacts", default="true")
    return [Node.make("privacy", [listing])]
