"""Receipts: delivered, read, played, and "send me that again" (whatsmeow: receipt.go, retry.go)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.server.directory import jid_of
from sandbox.server.handlers import newsletters
from sandbox.server.peer import Peer
from sandbox.server.router import Router
from sandbox.wire.jid import BROADCAST, GROUP, LID, NEWSLETTER, Jid
from sandbox.wire.node import Node

if TYPE_CHECKING:
    from sandbox.server.server import Server

#: kinds that end at the server, or at the account's own other devices
_OWN = {"sender", "peer_msg", "hist_sync", "server-error"}


def register(router: Router) -> None:
    router.stanza("receipt")(_receipt)


async def _receipt(server: Server, peer: Peer, node: Node) -> None:
    kind, to = node.get("type"), node.jid("to")
    ids = [node.get("id")]
    if (listing := node.child("list")) is not None:
        ids += [item.get("id") for item in listing.children("item")]
    server.delivery.has_message(peer, ids)
    ack = Node.make(
        "ack",
        id=node.get("id"),
        from_=to,
        type=kind or None,
        participant=node.jid("participant") if "participant" in node.attrs else None,
    )
    ack.attrs["class"] = "receipt"
    await peer.send(ack)
    server.journal.note(
        "receipt", by=f"{peer.number}:{peer.device}", to=str(to), type=kind or "delivery", ids=ids
    )
    if to.server == NEWSLETTER:
        if kind == "view":
            await newsletters.viewed(server, node)
        return
    in_group = to.server in (GROUP, BROADCAST)
    target = node.jid("participant") if in_group and "participant" in node.attrs else to
    account = server.directory.find(target)
    if kind == "server-error":
        # An attachment is gone: the account's phone is to upload it again.
        await server.delivery.deliver(peer.number, 0, _forwarded(server, peer, node, to, target))
    if account is None or kind in _OWN:
        return
    forwarded = _forwarded(server, peer, node, to, target)
    if kind == "retry":
        await server.delivery.deliver(account.number, target.device, forwarded)
    elif account.number == peer.number:
        if kind in ("read-self", "played-self"):
            await server.delivery.to_account(account.number, forwarded, but=peer.device)
    else:
        await server.delivery.to_account(account.number, forwarded)


def _forwarded(server: Server, peer: Peer, node: Node, to: Jid, target: Jid) -> Node:
    own = jid_of(
        server.directory.account(peer.number), device=peer.device, lid=target.server == LID
    )
    grouped = to.server in (GROUP, BROADCAST)
    forwarded = Node.make(
        "receipt",
        node.children() or None,
        id=node.get("id"),
        t=server.now(),
        type=node.get("type") or None,
        from_=to if grouped else own,
        participant=own if grouped else None,
    )
    if "recipient" in node.attrs:
        forwarded.attrs["recipient"] = node.attrs["recipient"]
    return forwarded
