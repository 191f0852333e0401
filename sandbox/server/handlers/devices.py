"""Linked devices: logging out (whatsmeow: client.go, Logout)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.server import login, notifications
from sandbox.server.errors import IqError
from sandbox.server.peer import Peer
from sandbox.server.router import Router
from sandbox.wire.node import Node

if TYPE_CHECKING:
    from sandbox.server.server import Server


def register(router: Router) -> None:
    router.iq("md", "set", children=["remove-companion-device"])(_remove)


async def _remove(server: Server, peer: Peer, node: Node) -> None:
    """A device unlinks itself; the phone may unlink any."""
    asked = node.child("remove-companion-device")
    device = asked.jid("jid").device if asked and "jid" in asked.attrs else peer.device
    if peer.device not in (0, device):
        raise IqError(403, "forbidden")
    account = server.directory.account(peer.number)

    async def remove() -> None:
        if await login.remove_device(server, account.number, device):
            await notifications.devices_changed(server, account)

    server.later(remove())
