"""Channels: created, followed, muted, read (whatsmeow: newsletter.go)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sandbox.server import newsletters
from sandbox.server.errors import IqError
from sandbox.server.handlers.mex import query
from sandbox.server.newsletters import Newsletter, Post, metadata
from sandbox.server.peer import Peer
from sandbox.server.router import Router
from sandbox.wire.jid import Jid
from sandbox.wire.node import Node

if TYPE_CHECKING:
    from sandbox.server.server import Server

_MOST = 100


def register(router: Router) -> None:
    router.iq("newsletter", "get", children=["messages"])(_messages)


@query("6563316087068696", "9779843322044422")
async def _fetch(server: Server, peer: Peer, variables: dict[str, Any]) -> dict[str, Any]:
    asked = variables.get("input", {})
    key, kind = str(asked.get("key", "")), asked.get("type")
    found = (
        newsletters.by_invite(server, key)
        if kind == "INVITE"
        else newsletters.find(server, Jid.parse(key))
    )
    if found is None:
        return {"xwa2_newsletter": None}
    viewer = bool(variables.get("fetch_viewer_metadata"))
    return {"xwa2_newsletter": metadata(found, peer.number, viewer=viewer)}


@query("6388546374527196", "8621797084555037")
async def _subscribed(server: Server, peer: Peer, variables: dict[str, Any]) -> dict[str, Any]:
    if "newsletter_id" in variables:  # the desktop's number for following is the same
        return await _follow(server, peer, variables)
    found = newsletters.all_of(server, peer.number)
    return {"xwa2_newsletter_subscribed": [metadata(one, peer.number) for one in found]}


@query("6234210096708695", "27527996220149684")
async def _create(server: Server, peer: Peer, variables: dict[str, Any]) -> dict[str, Any]:
    asked = variables.get("newsletter_input", {})
    made = newsletters.create(
        server, peer.number, str(asked.get("name", "")), str(asked.get("description", ""))
    )
    if picture := base64.b64decode(asked.get("picture") or ""):
        made.picture_id = str(int.from_bytes(hashlib.sha256(picture).digest()[:6], "big"))
        server.media.put(f"/v/{made.picture_id}.jpg", picture)
        newsletters.save(server, made)
    return {"xwa2_newsletter_create": metadata(made, peer.number)}


@query("9926858900719341")
async def _follow(server: Server, peer: Peer, variables: dict[str, Any]) -> dict[str, Any]:
    found = _of(server, variables)
    found.followers.setdefault(peer.number, False)
    newsletters.save(server, found)
    return {"xwa2_newsletter_join_v2": {"id": str(found.jid)}}


@query("6392786840836363", "8782612271820087")
async def _unfollow(server: Server, peer: Peer, variables: dict[str, Any]) -> dict[str, Any]:
    found = _of(server, variables)
    if peer.number != found.owner:
        found.followers.pop(peer.number, None)
        newsletters.save(server, found)
    return {"xwa2_newsletter_leave_v2": {"id": str(found.jid)}}


@query("6274038279359549", "5971669009605755")
async def _mute(server: Server, peer: Peer, variables: dict[str, Any]) -> dict[str, Any]:
    return _set_muted(server, peer, variables, muted=True)


@query("6068417879924485", "6104029483058502")
async def _unmute(server: Server, peer: Peer, variables: dict[str, Any]) -> dict[str, Any]:
    return _set_muted(server, peer, variables, muted=False)


def _set_muted(
    server: Server, peer: Peer, variables: dict[str, Any], *, muted: bool
) -> dict[str, Any]:
    found = _of(server, variables)
    if peer.number not in found.followers:
        raise IqError(403, "forbidden")
    found.followers[peer.number] = muted
    newsletters.save(server, found)
    return {"xwa2_newsletter_update": {"id": str(found.jid)}}


def _of(server: Server, variables: dict[str, Any]) -> Newsletter:
    found = newsletters.find(server, Jid.parse(str(variables.get("newsletter_id", ""))))
    if found is None:
        raise IqError(404, "item-not-found")
    return found


async def _messages(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    asked = node.child("messages")
    if asked is None:
        raise IqError(400, "bad-request")
    found = (
        newsletters.by_invite(server, asked.get("key"))
        if asked.get("type") == "invite"
        else newsletters.find(server, asked.jid("jid"))
    )
    if found is None:
        raise IqError(404, "item-not-found")
    before = int(asked.get("before", "0")) or 1 << 62
    posts = [Post(**post) for post in found.posts if post["server_id"] < before]
    wanted = posts[-min(int(asked.get("count", "50")), _MOST) :]
    return [Node.make("messages", [_post(one) for one in wanted], jid=found.jid, t=server.now())]


def _post(post: Post) -> Node:
    content = [Node.make("plaintext", bytes.fromhex(post.message))]
    if post.views:
        content.append(Node.make("views_count", count=post.views))
    if post.reactions:
        told = [Node.make("reaction", code=code, count=n) for code, n in post.reactions.items()]
        content.append(Node.make("reactions", told))
    return Node.make(
        "message", content, id=post.id, server_id=post.server_id, t=post.timestamp, type="text"
    )
