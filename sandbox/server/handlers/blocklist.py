"""Whom an account blocked (whatsmeow: user.go, GetBlocklist, UpdateBlocklist)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sandbox.server.directory import jid_of
from sandbox.server.errors import IqError
from sandbox.server.peer import Peer
from sandbox.server.router import Router
from sandbox.wire.node import Node

if TYPE_CHECKING:
    from sandbox.server.server import Server


def register(router: Router) -> None:
    router.iq("blocklist", "get")(_get)
    router.iq("blocklist", "set", children=["item"])(_set)


async def _get(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    return [_list(server, peer.number)]


async def _set(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    item = node.child("item")
    account = server.directory.find(item.jid("jid")) if item else None
    if item is None or account is None:
        raise IqError(404, "item-not-found")
    blocked = set(server.store.document("blocklist", peer.number) or [])
    if item.get("action") == "block":
        blocked.add(account.number)
    else:
        blocked.discard(account.number)
    server.store.set_document("blocklist", peer.number, sorted(blocked))
    return [_list(server, peer.number)]


def _list(server: Server, number: str) -> Node:
    blocked = server.store.document("blocklist", number) or []
    items = [Node.make("item", jid=jid_of(server.directory.account(other))) for other in blocked]
    digest = hashlib.sha256(",".join(blocked).encode()).hexdigest()[:12]
    return Node.make("list", items, dhash=digest, addressing_mode="lid")
