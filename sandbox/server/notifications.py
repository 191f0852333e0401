"""What the server sends on its own (whatsmeow: notification.go)."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from sandbox.server.directory import jid_of
from sandbox.server.store import Account
from sandbox.wire.jid import LID, SERVER_JID, Jid
from sandbox.wire.node import Node

if TYPE_CHECKING:
    from sandbox.server.server import Server

__all__ = [
    "about_changed",
    "collection_changed",
    "device_hash",
    "devices_changed",
    "group_changed",
    "media_retried",
    "new_id",
    "picture_changed",
    "prekeys_low",
]


def new_id() -> str:
    """An id of a stanza of the server's own."""
    return secrets.token_hex(8)


def device_hash(devices: Iterable[Jid]) -> str:
    """The hash of a device list (whatsmeow: participantListHashV2)."""
    texts = sorted(
        f"{jid.user}.{1 if jid.server == LID else 0}:{jid.device}@{jid.server}" for jid in devices
    )
    digest = hashlib.sha256("".join(texts).encode()).digest()[:6]
    return "2:" + base64.b64encode(digest).decode().rstrip("=")


async def devices_changed(server: Server, account: Account) -> None:
    """A device was linked or unlinked: notify who keeps the list, and the account's own devices."""
    devices = sorted(server.directory.devices(account.number))
    by_number = [jid_of(account, device=d, lid=False) for d in devices]
    by_lid = [jid_of(account, device=d) for d in devices]
    for number, device, asked_by_lid in server.store.watchers(account.number):
        if number == account.number:
            continue
        # Clients keep the list under the address they asked for, and look it up by `from`.
        update = Node.make(
            "update",
            hash=secrets.token_hex(4),
            device_hash=device_hash(by_lid if asked_by_lid else by_number),
        )
        notice = Node.make(
            "notification",
            [update],
            from_=jid_of(account, lid=asked_by_lid),
            type="devices",
            t=server.now(),
            id=new_id(),
        )
        await server.delivery.deliver(number, device, notice)
    listing = Node.make(
        "devices",
        [Node.make("device", jid=jid) for jid in by_lid],
        dhash=device_hash(by_lid),
    )
    own = Node.make(
        "notification",
        [listing],
        from_=jid_of(account),
        type="account_sync",
        t=server.now(),
        id=new_id(),
    )
    for device in devices[1:]:
        await server.delivery.deliver(account.number, device, own)


async def prekeys_low(server: Server, number: str, device: int, left: int) -> None:
    """A device should upload one-time keys."""
    node = Node.make(
        "notification",
        [Node.make("count", value=left)],
        from_=SERVER_JID,
        type="encrypt",
        t=server.now(),
        id=new_id(),
    )
    await server.delivery.deliver(number, device, node)


async def collection_changed(
    server: Server, account: Account, name: str, version: int, *, by: int
) -> None:
    """An app state collection has a new version."""
    node = Node.make(
        "notification",
        [Node.make("collection", name=name, version=version)],
        from_=SERVER_JID,
        type="server_sync",
        t=server.now(),
        id=new_id(),
    )
    await server.delivery.to_account(account.number, node, but=by)


async def group_changed(
    server: Server,
    group: Jid,
    members: Sequence[str],
    changes: Sequence[Node],
    *,
    by: Account,
    mode: str,
) -> None:
    """Something about a group changed; `members` are notified on all their devices."""
    node = Node.make(
        "notification",
        changes,
        from_=group,
        type="w:gp2",
        id=new_id(),
        t=server.now(),
        participant=jid_of(by, lid=mode == "lid"),
        participant_pn=jid_of(by, lid=False) if mode == "lid" else None,
        addressing_mode=mode,
        notify=by.name,
    )
    for number in members:
        await server.delivery.to_account(number, node)


async def about_changed(server: Server, account: Account) -> None:
    """An about text was set; who keeps the device list is notified, as are own other devices."""
    for number, device, by_lid in server.store.watchers(account.number):
        node = Node.make(
            "notification",
            [Node.make("set", account.about)],
            from_=jid_of(account, lid=by_lid),
            type="status",
            t=server.now(),
            id=new_id(),
            notify=account.name,
        )
        await server.delivery.deliver(number, device, node)


async def media_retried(
    server: Server, account: Account, device: int, message_id: str, content: Sequence[Node]
) -> None:
    """What became of an attachment that a device could not download."""
    node = Node.make(
        "notification",
        content,
        from_=jid_of(account, lid=False),
        type="mediaretry",
        id=message_id,
        t=server.now(),
    )
    await server.delivery.deliver(account.number, device, node)


async def picture_changed(server: Server, of: Jid, by: Account, picture_id: str) -> None:
    """A profile picture was set or removed; whoever keeps the device list is notified."""
    child = (
        Node.make("set", jid=of, id=picture_id, author=jid_of(by, lid=False))
        if picture_id
        else Node.make("delete", jid=of, author=jid_of(by, lid=False))
    )
    node = Node.make("notification", [child], from_=of, type="picture", t=server.now(), id=new_id())
    watchers = {(number, device) for number, device, _ in server.store.watchers(by.number)}
    for number, device in sorted(watchers):
        await server.delivery.deliver(number, device, node)
