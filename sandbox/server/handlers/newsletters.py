"""Channels: created, followed, muted, written to, read (whatsmeow: newsletter.go).

The numbers of queries are those of whatsmeow (web, then desktop), Baileys 7 (lib/Types/Mex.js) and
whatsapp-rust (wacore/src/iq/mex_ids.rs).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sandbox.server import newsletters
from sandbox.server.directory import jid_of
from sandbox.server.errors import IqError
from sandbox.server.handlers.mex import query
from sandbox.server.newsletters import Newsletter, Post, metadata, post_node
from sandbox.server.peer import Peer
from sandbox.server.router import Router
from sandbox.wire.jid import Jid
from sandbox.wire.node import Node

if TYPE_CHECKING:
    from sandbox.server.server import Server

__all__ = ["register", "take", "viewed"]

_MOST = 100
_LIVE_SECONDS = 300
#: `edit=` of a message (whatsmeow: types/message.go)
_ADMIN_EDIT, _SENDER_REVOKE, _ADMIN_REVOKE = "3", "7", "8"
_NO_SUCH_CHANNEL, _NO_ADMIN = 404, 403


def register(router: Router) -> None:
    router.iq("newsletter", "get", children=["messages", "message_updates"])(_messages)
    router.iq("newsletter", "set", children=["live_updates"])(_live)


async def take(server: Server, peer: Peer, node: Node, to: Jid) -> int | Post:
    """A message of a device to a channel: a new post, another text, a reaction. Gives the post, or
    the error of the acknowledgement."""
    found = newsletters.find(server, to)
    if found is None:
        return _NO_SUCH_CHANNEL
    reaction, edit = node.child("reaction"), node.get("edit")
    if reaction is not None:
        return await _react(server, peer, found, node.get("server_id"), reaction.get("code"))
    if found.role(peer.number) not in ("OWNER", "ADMIN"):
        return _NO_ADMIN
    plain = node.child("plaintext")
    data = plain.data if plain else b""
    if edit not in (_ADMIN_EDIT, _SENDER_REVOKE, _ADMIN_REVOKE):
        written = newsletters.post(
            server, found, data, id=node.get("id"), type=node.get("type", "text")
        )
    else:
        known = newsletters.by_id(found, node.get("server_id") or node.get("id"))
        if known is None:
            return _NO_SUCH_CHANNEL
        known.message = data.hex() if edit == _ADMIN_EDIT else ""
        newsletters.change(server, found, known)
        written = known
    await newsletters.publish(server, found, written, by=(peer.number, peer.device), edit=edit)
    return written


async def viewed(server: Server, node: Node) -> None:
    """A receipt of kind `view`: somebody has seen messages of a channel."""
    found = newsletters.find(server, node.jid("to"))
    listing = node.child("list")
    for item in listing.children("item") if listing and found else []:
        one = newsletters.by_id(found, item.get("server_id")) if found else None
        if found and one:
            one.views += 1
            newsletters.change(server, found, one)
            await newsletters.notify_change(server, found, one)


async def _react(
    server: Server, peer: Peer, found: Newsletter, server_id: str, code: str
) -> int | Post:
    one = newsletters.by_id(found, server_id)
    if one is None:
        return _NO_SUCH_CHANNEL
    if before := one.reacted.pop(peer.number, ""):
        one.reactions[before] -= 1
        if not one.reactions[before]:
            del one.reactions[before]
    if code:
        one.reacted[peer.number] = code
        one.reactions[code] = one.reactions.get(code, 0) + 1
    newsletters.change(server, found, one)
    await newsletters.notify_change(server, found, one)
    return one


async def _live(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    found = newsletters.find(server, node.jid("to"))
    if found is None:
        raise IqError(404, "item-not-found")
    live = server.live_channels.setdefault(found.id, {})
    live[peer.number, peer.device] = server.now() + _LIVE_SECONDS
    return [Node.make("live_updates", duration=_LIVE_SECONDS)]


@query(
    *("6563316087068696", "9779843322044422", "7272540469429201"),
    *("25383075034668475", "30328461880085868"),
)
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


@query("6388546374527196", "8621797084555037", "33101596156151910")
async def _subscribed(server: Server, peer: Peer, variables: dict[str, Any]) -> dict[str, Any]:
    if "newsletter_id" in variables:  # the desktop's number for following is the same
        return await _follow(server, peer, variables)
    found = newsletters.all_of(server, peer.number)
    return {"xwa2_newsletter_subscribed": [metadata(one, peer.number) for one in found]}


@query("6234210096708695", "27527996220149684", "8823471724422422", "25149874324715067")
async def _create(server: Server, peer: Peer, variables: dict[str, Any]) -> dict[str, Any]:
    asked = variables.get("newsletter_input") or variables.get("input") or {}
    made = newsletters.create(
        server, peer.number, str(asked.get("name", "")), str(asked.get("description") or "")
    )
    if asked.get("picture"):
        _set_picture(server, made, asked["picture"])
        newsletters.save(server, made)
    return {"xwa2_newsletter_create": metadata(made, peer.number)}


@query("7150902998257522", "7839742399440946", "24250201037901610")
async def _update(server: Server, peer: Peer, variables: dict[str, Any]) -> dict[str, Any]:
    found = _owned(server, peer, variables)
    changes = variables.get("updates") or {}
    if changes.get("name"):
        found.name = str(changes["name"])
    if changes.get("description") is not None:
        found.description = str(changes["description"])
    if changes.get("picture") is not None:
        _set_picture(server, found, changes["picture"])
    newsletters.save(server, found)
    return {"xwa2_newsletter_update": metadata(found, peer.number)}


@query("30062808666639665")
async def _delete(server: Server, peer: Peer, variables: dict[str, Any]) -> dict[str, Any]:
    found = _owned(server, peer, variables)
    newsletters.delete(server, found)
    answer = {"id": str(found.jid), "state": {"type": "DELETED"}}
    return {"xwa2_newsletter_delete_v2": answer}


@query(
    *("9800646650009898", "25403502652570342"),
    *("9783111038412085", "9537574256318798"),
)
async def _subscribers(server: Server, peer: Peer, variables: dict[str, Any]) -> dict[str, Any]:
    asked = variables.get("input") or variables
    found = _of(server, asked)
    edges = []
    for number in found.followers:
        account = server.directory.account(number)
        who = {"id": str(jid_of(account)), "pn": str(jid_of(account, lid=False))}
        edges.append({"node": who | {"display_name": account.name}, "role": found.role(number)})
    answer = {"subscribers": {"edges": edges}, "count": len(edges)}
    # What Baileys calls subscribers is the number of pending invites elsewhere.
    return {"xwa2_newsletter_subscribers": answer, "xwa2_newsletter_admin": {"pending": []}}


@query("7130823597031706", "29186079397702825")
async def _admin_count(server: Server, peer: Peer, variables: dict[str, Any]) -> dict[str, Any]:
    found = _of(server, variables)
    answer = {"id": str(found.jid), "admin_count": 1 + len(found.admins)}
    return {"xwa2_newsletter_admin": answer}


@query("7341777602580933")
async def _change_owner(server: Server, peer: Peer, variables: dict[str, Any]) -> dict[str, Any]:
    found = _owned(server, peer, variables)
    heir = server.directory.find(Jid.parse(str(variables.get("user_id", ""))))
    if heir is None or heir.number not in found.followers:
        raise IqError(404, "item-not-found")
    found.admins = [*(n for n in found.admins if n != heir.number), found.owner]
    found.owner = heir.number
    newsletters.save(server, found)
    return {"xwa2_newsletter_change_owner": {"id": str(found.jid)}}


@query("6551828931592903")
async def _demote(server: Server, peer: Peer, variables: dict[str, Any]) -> dict[str, Any]:
    found = _owned(server, peer, variables)
    account = server.directory.find(Jid.parse(str(variables.get("user_id", ""))))
    if account is None or account.number not in found.admins:
        raise IqError(404, "item-not-found")
    found.admins.remove(account.number)
    newsletters.save(server, found)
    return {"xwa2_newsletter_demote": {"id": str(found.jid)}}


@query("9926858900719341", "24404358912487870")
async def _follow(server: Server, peer: Peer, variables: dict[str, Any]) -> dict[str, Any]:
    found = _of(server, variables)
    found.followers.setdefault(peer.number, False)
    newsletters.save(server, found)
    return {"xwa2_newsletter_join_v2": metadata(found, peer.number)}


@query("6392786840836363", "8782612271820087", "9767147403369991")
async def _unfollow(server: Server, peer: Peer, variables: dict[str, Any]) -> dict[str, Any]:
    found = _of(server, variables)
    if peer.number != found.owner:
        found.followers.pop(peer.number, None)
        newsletters.save(server, found)
    return {"xwa2_newsletter_leave_v2": {"id": str(found.jid)}}


@query("6274038279359549", "5971669009605755", "29766401636284406")
async def _mute(server: Server, peer: Peer, variables: dict[str, Any]) -> dict[str, Any]:
    return _set_muted(server, peer, variables, muted=True)


@query("6068417879924485", "6104029483058502", "9864994326891137")
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
    answer, one = {"id": str(found.jid)}, "mute" if muted else "unmute"
    return {"xwa2_newsletter_update": answer, f"xwa2_newsletter_{one}_v2": answer}


def _set_picture(server: Server, newsletter: Newsletter, text: str) -> None:
    try:
        picture = base64.b64decode(text)
    except binascii.Error as error:
        raise IqError(406, "not-acceptable") from error
    newsletter.picture_id = ""
    if picture:
        newsletter.picture_id = str(int.from_bytes(hashlib.sha256(picture).digest()[:6], "big"))
        server.media.put(f"/v/{newsletter.picture_id}.jpg", picture)


def _owned(server: Server, peer: Peer, variables: dict[str, Any]) -> Newsletter:
    found = _of(server, variables)
    if found.owner != peer.number:
        raise IqError(403, "forbidden")
    return found


def _of(server: Server, variables: dict[str, Any]) -> Newsletter:
    found = newsletters.find(server, Jid.parse(str(variables.get("newsletter_id", ""))))
    if found is None:
        raise IqError(404, "item-not-found")
    return found


async def _messages(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    """Messages, or what changed about them (`message_updates`)."""
    asked = node.child("messages") or node.child("message_updates")
    if asked is None:
        raise IqError(400, "bad-request")
    updates = asked.tag == "message_updates"
    if asked.get("type") == "invite":
        found = newsletters.by_invite(server, asked.get("key"))
    else:
        found = newsletters.find(
            server, asked.jid("jid") if "jid" in asked.attrs else node.jid("to")
        )
    if found is None:
        raise IqError(404, "item-not-found")
    before = int(asked.get("before", "0")) or 1 << 62
    after = int(asked.get("after", "0"))
    posts = [Post(**post) for post in found.posts if after < post["server_id"] < before]
    wanted = posts[-min(int(asked.get("count", "50")), _MOST) :]
    messages = Node.make(
        "messages",
        [post_node(one, changes_only=updates) for one in wanted],
        jid=found.jid,
        t=server.now(),
    )
    return [Node.make("message_updates", [messages])] if updates else [messages]
