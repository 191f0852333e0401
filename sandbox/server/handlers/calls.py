"""Calls: offers and what is answered to them are passed on, links to calls are made (whatsmeow:
call.go). Nothing sounds."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from sandbox.server.directory import jid_of
from sandbox.server.peer import Peer
from sandbox.server.router import Router
from sandbox.wire.jid import LID
from sandbox.wire.node import Node

if TYPE_CHECKING:
    from sandbox.server.server import Server


def register(router: Router) -> None:
    router.stanza("call")(_call)


async def _call(server: Server, peer: Peer, node: Node) -> None:
    content = node.children()
    ack = Node.make("ack", id=node.get("id"), from_=node.attrs.get("to"))
    ack.attrs["class"] = "call"
    if content:
        ack.attrs["type"] = content[0].tag
    if content and content[0].tag == "link_create":
        token, media = secrets.token_urlsafe(16), content[0].get("media")
        ack.content = [Node.make("link_create", token=token, media=media)]
        server.journal.note("call link", by=f"{peer.number}:{peer.device}", media=media)
        await peer.send(ack)
        return
    await peer.send(ack)
    to = node.jid("to")
    account = server.directory.find(to)
    if account is None or not content:
        return
    sender = server.directory.account(peer.number)
    server.journal.note(
        "call",
        by=f"{peer.number}:{peer.device}",
        to=account.number,
        what=content[0].tag,
        call=content[0].get("call-id"),
    )
    notice = Node.make(
        "call",
        content,
        id=node.get("id"),
        from_=jid_of(sender, device=peer.device, lid=to.server == LID),
        t=server.now(),
        platform="android",
        version="2.25.0.0",
    )
    for other in server.peers.of_account(account.number):
        if other.active:
            await other.send(notice)
