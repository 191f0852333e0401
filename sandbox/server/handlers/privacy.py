"""Privacy settings and privacy tokens (whatsmeow: privacysettings.go, tctoken)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sandbox.server import privacy_tokens
from sandbox.server.handlers.mex import query
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
    asked = node.child("tokens")
    giver = server.directory.account(peer.number)
    for token in asked.children("token") if asked and node.get("type") == "set" else []:
        to = server.directory.find(token.jid("jid")) if "jid" in token.attrs else None
        if to is not None and to is not giver and token.get("type") == "trusted_contact":
            await privacy_tokens.issue(server, giver, to, int(token.get("t") or server.now()))


@query("23983697327930364")
async def _timelock(server: Server, peer: Peer, variables: dict[str, Any]) -> dict[str, Any]:
    """Whether the account may write to people for the first time."""
    return {"xwa2_fetch_account_reachout_timelock": {"is_active": False}}


@query("24503548349331633")
async def _capping(server: Server, peer: Peer, variables: dict[str, Any]) -> dict[str, Any]:
    """How many new chats are left in the month: as many as one likes."""
    found = {"capping_status": "NONE", "total_quota": -1, "used_quota": 0}
    return {"xwa2_message_capping_info": found}


async def _disappearing(server: Server, peer: Peer, node: Node) -> None:
    account = server.directory.account(peer.number)
    asked = node.child("disappearing_mode")
    account.privacy["disappearing_mode"] = asked.get("duration") if asked else "0"
    server.directory.save(account)


async def _status(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    """Who gets stories: all contacts (whatsmeow: broadcast.go)."""
    listing = Node.make("list", type="contacts", default="true")
    return [Node.make("privacy", [listing])]
