"""usync: who is on WhatsApp, by which LID, with which devices, picture and about (user.go)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sandbox.crypto.adv import sign_key_index_list
from sandbox.crypto.keys import KeyPair
from sandbox.server.directory import jid_of
from sandbox.server.errors import IqError
from sandbox.server.peer import Peer
from sandbox.server.router import Router
from sandbox.server.store import Account
from sandbox.wire.jid import LID, PN, Jid
from sandbox.wire.node import Node

if TYPE_CHECKING:
    from sandbox.server.server import Server


def register(router: Router) -> None:
    router.iq("usync", "get", children=["usync"])(_usync)


async def _usync(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    asked = node.child("usync")
    query = asked.child("query") if asked else None
    listing = asked.child("list") if asked else None
    if asked is None or query is None or listing is None:
        raise IqError(400, "bad-request")
    wanted = {child.tag: child for child in query.children()}
    users = [_user(server, peer, user, wanted) for user in listing.children("user")]
    return [
        Node.make(
            "usync",
            [Node.make("result"), Node.make("list", users)],
            sid=asked.get("sid"),
            mode=asked.get("mode"),
            last="true",
            index="0",
            context=asked.get("context"),
        )
    ]


def _user(server: Server, peer: Peer, user: Node, wanted: dict[str, Node]) -> Node:
    contact = user.child("contact")
    if contact is not None:
        # `+491510000@c.us` from whatsmeow, `+491510000` from others
        asked = contact.data.decode(errors="replace")
        jid = Jid(asked.partition("@")[0].lstrip("+"), PN)
    else:
        jid = user.jid("jid")
    account = server.directory.find(jid)
    if account is not None and "devices" in wanted:
        server.store.watch(account.number, peer.number, peer.device, by_lid=jid.server == LID)
    content: list[Node] = []
    for tag, query in wanted.items():
        content += _ANSWERS.get(tag, _nothing)(server, peer, account, query)
    if "contact" in wanted:
        content.insert(
            0,
            Node.make(
                "contact",
                contact.data if contact is not None else None,
                type="in" if account else "out",
            ),
        )
        by_lid = wanted["contact"].get("addressing_mode") == "lid"
        if account is not None and by_lid:
            return Node.make(
                "user", content, jid=jid_of(account), pn_jid=jid_of(account, lid=False)
            )
    return Node.make("user", content, jid=jid.bare)


def _nothing(server: Server, peer: Peer, account: Account | None, query: Node) -> list[Node]:
    return []


def _devices(server: Server, peer: Peer, account: Account | None, query: Node) -> list[Node]:
    if account is None:
        return [Node.make("devices", [Node.make("device-list")])]
    devices = sorted(server.directory.devices(account.number))
    now = datetime.now(UTC)
    index = sign_key_index_list(
        KeyPair.from_private(account.identity),
        raw_id=account.raw_id,
        current_index=account.next_device - 1,
        valid_indexes=devices,
        now=now,
    )
    listing = [
        Node.make("device", id=device, key_index=None)
        if device == 0
        else Node("device", {"id": str(device), "key-index": str(device)})
        for device in devices
    ]
    return [
        Node.make(
            "devices",
            [
                Node.make("device-list", listing),
                Node.make("key-index-list", index, ts=int(now.timestamp())),
            ],
        )
    ]


def _lid(server: Server, peer: Peer, account: Account | None, query: Node) -> list[Node]:
    if account is None or not server.directory.lids(peer.number, account.number):
        return []
    return [Node.make("lid", val=jid_of(account))]


def _status(server: Server, peer: Peer, account: Account | None, query: Node) -> list[Node]:
    return [Node.make("status", account.about, t=server.now())] if account else []


def _picture(server: Server, peer: Peer, account: Account | None, query: Node) -> list[Node]:
    if account is None or not account.picture_id:
        return []
    return [Node.make("picture", id=account.picture_id)]


_ANSWERS = {"devices": _devices, "lid": _lid, "status": _status, "picture": _picture}
