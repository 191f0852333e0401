"""Being online, and typing (whatsmeow: presence.go)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.server import chatstates, groups
from sandbox.server import presence as state
from sandbox.server.directory import jid_of
from sandbox.server.peer import Peer
from sandbox.server.router import Router
from sandbox.wire.jid import GROUP, LID
from sandbox.wire.node import Node

if TYPE_CHECKING:
    from sandbox.server.server import Server


def register(router: Router) -> None:
    router.stanza("presence")(_presence)
    router.stanza("chatstate")(_chatstate)


async def _presence(server: Server, peer: Peer, node: Node) -> None:
    kind = node.get("type", "available")
    if kind == "subscribe":
        account = server.directory.find(node.jid("to"))
        if account is not None:
            await state.subscribe(server, peer, account.number)
    elif kind in ("available", "unavailable"):
        peer.available = kind == "available"
        server.journal.note("presence", by=f"{peer.number}:{peer.device}", type=kind)
        await state.publish_presence(server, peer.number)


async def _chatstate(server: Server, peer: Peer, node: Node) -> None:
    to = node.jid("to")
    sender = server.directory.account(peer.number)
    content = node.children()
    server.journal.note(
        "chatstate",
        by=f"{peer.number}:{peer.device}",
        to=str(to),
        state=content[0].tag if content else "",
    )
    if to.server == GROUP:
        group = groups.find(server, to)
        numbers = [n for n in group.members if n != peer.number] if group else []
        own = jid_of(sender, device=peer.device, lid=group is not None and group.mode == "lid")
        notice = Node.make("chatstate", content, from_=to, participant=own)
    else:
        account = server.directory.find(to)
        numbers = [account.number] if account else []
        by_lid = to.server == LID
        notice = Node.make("chatstate", content, from_=jid_of(sender, lid=by_lid))
    for number in numbers:
        await chatstates.publish(server, number, notice)
