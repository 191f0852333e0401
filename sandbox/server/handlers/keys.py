"""Pre-keys: counted, uploaded, handed out one by one (whatsmeow: prekeys.go)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sandbox.server import greeting, notifications
from sandbox.server.errors import IqError
from sandbox.server.peer import Peer
from sandbox.server.router import Router
from sandbox.server.store import Device
from sandbox.wire.node import Node

if TYPE_CHECKING:
    from sandbox.server.server import Server

#: a device with fewer one-time keys is asked for more (whatsmeow: MinPreKeyCount)
_LOW = 5
_DJB = b"\x05"


def register(router: Router) -> None:
    router.iq("encrypt", "get", children=["count"])(_count)
    router.iq("encrypt", "get", children=["digest"])(_digest)
    router.iq("encrypt", "get", children=["key"])(_bundles)
    router.iq("encrypt", "set", children=["registration", "list"])(_upload)
    router.iq("encrypt", "set", children=["rotate"])(_rotate)


async def _count(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    return [Node.make("count", value=server.store.count_prekeys(peer.number, peer.device))]


async def _digest(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    """What the server has of the device, with a hash over the public keys (whatsapp-rust:
    prekeys.rs, compute_key_bundle_digest)."""
    device = _own(server, peer)
    if not device.has_keys:
        raise IqError(404, "item-not-found")
    keys = server.store.prekeys(peer.number, peer.device)
    hashed = [device.identity, device.signed_key, device.signature, *(key for _, key in keys)]
    return [
        Node.make(
            "digest",
            [
                Node.make("registration", device.registration),
                Node.make("type", _DJB),
                Node.make("identity", device.identity),
                _signed_key(device),
                Node.make("list", [Node.make("id", number) for number, _ in keys]),
                Node.make("hash", hashlib.sha1(b"".join(hashed), usedforsecurity=False).digest()),
            ],
        )
    ]


async def _upload(server: Server, peer: Peer, node: Node) -> None:
    device = _own(server, peer)
    parts = {child.tag: child for child in node.children()}
    if not {"registration", "identity", "skey", "list"} <= parts.keys():
        raise IqError(400, "bad-request")
    if parts["identity"].data != device.identity:
        raise IqError(406, "not-acceptable")
    device.registration = parts["registration"].data
    _take_signed_key(device, parts["skey"])
    server.directory.put(device)
    keys = []
    for key in parts["list"].children("key"):
        number, value = key.child("id"), key.child("value")
        if number is None or value is None or len(value.data) != 32:
            raise IqError(400, "bad-request")
        keys.append((number.data, value.data))
    server.store.add_prekeys(peer.number, peer.device, keys)
    server.journal.note("prekeys uploaded", device=f"{peer.number}:{peer.device}", keys=len(keys))
    if peer.active:
        server.later(greeting.greet(server, peer))


async def _rotate(server: Server, peer: Peer, node: Node) -> None:
    rotate = node.child("rotate")
    key = rotate.child("skey") if rotate else None
    if key is None:
        raise IqError(400, "bad-request")
    device = _own(server, peer)
    _take_signed_key(device, key)
    server.directory.put(device)


async def _bundles(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    wanted = node.child("key")
    users = []
    for user in wanted.children("user") if wanted else []:
        jid = user.jid("jid")
        account = server.directory.find(jid)
        device = server.directory.device(account.number, jid.device) if account else None
        if device is None or not device.has_keys:
            error = Node.make("error", code=404, text="item-not-found")
            users.append(Node.make("user", [error], jid=jid))
            continue
        users.append(Node.make("user", _bundle(server, device), jid=jid, t=server.now()))
        left = server.store.count_prekeys(device.number, device.device)
        if left == _LOW - 1:
            server.later(notifications.prekeys_low(server, device.number, device.device, left))
    return [Node.make("list", users)]


def _bundle(server: Server, device: Device) -> list[Node]:
    content = [
        Node.make("registration", device.registration),
        Node.make("type", _DJB),
        Node.make("identity", device.identity),
        _signed_key(device),
    ]
    key = server.store.take_prekey(device.number, device.device)
    if key is None:
        server.journal.note("prekeys ran out", device=f"{device.number}:{device.device}")
    else:
        content.append(Node.make("key", [Node.make("id", key[0]), Node.make("value", key[1])]))
    return content


def _signed_key(device: Device) -> Node:
    parts = {
        "id": device.signed_key_id,
        "value": device.signed_key,
        "signature": device.signature,
    }
    return Node.make("skey", [Node.make(tag, value) for tag, value in parts.items()])


def _own(server: Server, peer: Peer) -> Device:
    device = server.directory.device(peer.number, peer.device)
    if device is None:
        raise IqError(401, "not-authorized")
    return device


def _take_signed_key(device: Device, key: Node) -> None:
    parts = {child.tag: child.data for child in key.children()}
    if not {"id", "value", "signature"} <= parts.keys():
        raise IqError(400, "bad-request")
    device.signed_key_id, device.signed_key = parts["id"], parts["value"]
    device.signature = parts["signature"]
