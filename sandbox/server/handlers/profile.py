"""Profile pictures and about texts (whatsmeow: user.go)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sandbox.server import groups, notifications
from sandbox.server.directory import jid_of
from sandbox.server.errors import IqError
from sandbox.server.handlers.mex import query
from sandbox.server.media_hosts import MEDIA_HOST, PICTURE_HOST
from sandbox.server.peer import Peer
from sandbox.server.router import Router
from sandbox.wire.jid import GROUP
from sandbox.wire.node import Node

if TYPE_CHECKING:
    from sandbox.server.server import Server


def register(router: Router) -> None:
    router.iq("w:profile:picture", "get")(_get_picture)
    router.iq("w:profile:picture", "set")(_set_picture)
    router.iq("status", "set", children=["status"])(_set_about)


async def _get_picture(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    target = node.jid("target") if "target" in node.attrs else None
    if target is not None and target.server == GROUP:
        group = groups.find(server, target)
        picture = group.picture_id if group else ""
    else:
        account = server.directory.find(target) if target else server.directory.account(peer.number)
        picture = account.picture_id if account else ""
    if not picture:
        raise IqError(404, "item-not-found")
    path = f"/v/{picture}.jpg?ccb=1"
    host = PICTURE_HOST if peer.media_host == MEDIA_HOST else peer.media_host
    return [
        Node.make(
            "picture",
            id=picture,
            type="image",
            url=f"https://{host}{path}",
            direct_path=path,
        )
    ]


async def _set_picture(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    account = server.directory.account(peer.number)
    target = node.jid("target") if "target" in node.attrs else None
    picture = next((c for c in node.children("picture") if c.get("type") == "image"), None)
    blob = picture.data if picture is not None else b""
    if picture is not None and not blob.startswith(b"\xff\xd8"):
        raise IqError(406, "not-acceptable")
    number = ""
    if blob:
        number = str(int.from_bytes(hashlib.sha256(blob).digest()[:6], "big"))
        server.media.put(f"/v/{number}.jpg", blob)
    if target is not None and target.server == GROUP:
        group = groups.find(server, target)
        if group is None or peer.number not in group.members:
            raise IqError(403, "forbidden")
        group.picture_id = number
        groups.save(server, group)
    else:
        account.picture_id = number
        server.directory.save(account)
        await notifications.picture_changed(server, jid_of(account, lid=False), account, number)
    return [Node.make("picture", id=number)] if number else []


async def _set_about(server: Server, peer: Peer, node: Node) -> None:
    text = node.child("status")
    await _about(server, peer, text.data.decode(errors="replace") if text else "")


@query("9152604461510864")
async def _set_text_status(server: Server, peer: Peer, variables: dict[str, Any]) -> dict[str, Any]:
    asked = variables.get("input", {})
    await _about(server, peer, str(asked.get("text", asked.get("status", ""))))
    return {}


async def _about(server: Server, peer: Peer, text: str) -> None:
    account = server.directory.account(peer.number)
    account.about = text
    server.directory.save(account)
    await notifications.about_changed(server, account)
