"""Messages: from one device to every device they are encrypted for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.server import groups, privacy_tokens
from sandbox.server.directory import jid_of
from sandbox.server.handlers import newsletters
from sandbox.server.peer import Peer
from sandbox.server.router import Router
from sandbox.server.store import Account
from sandbox.wire.jid import BROADCAST, GROUP, LID, NEWSLETTER, Jid
from sandbox.wire.node import Node

if TYPE_CHECKING:
    from sandbox.server.server import Server

#: attributes that recipients see as the sender set them
_KEPT = ("id", "type", "edit", "category")
#: children that go to every recipient
_SHARED = ("device-identity", "meta", "reporting", "franking", "bot")
#: `<ack error=>` of a message (whatsmeow: send.go, ErrServerReturnedError)
_NO_SUCH_USER, _NOT_A_MEMBER = 404, 403


@dataclass(frozen=True, slots=True)
class _Copy:
    """One device's copy of a message."""

    number: str
    device: int
    node: Node


def register(router: Router) -> None:
    router.stanza("message")(_message)


async def _message(server: Server, peer: Peer, node: Node) -> None:
    to = node.jid("to")
    if to.server == GROUP:
        copies = _to_group(server, peer, node, to)
    elif to.server == BROADCAST:
        copies = _to_named(server, peer, node, to)
    elif to.is_user:
        copies = _to_user(server, peer, node, to)
    elif to.server == NEWSLETTER:
        posted = await newsletters.take(server, peer, node, to)
        if isinstance(posted, int):
            await _acknowledge(server, peer, node, to, error=posted)
        else:
            await _acknowledge(server, peer, node, to, server_id=posted.server_id)
        return
    else:
        server.journal.could_not_handle(f"message to {to.server}", str(node))
        copies = []
    if isinstance(copies, int):
        await _acknowledge(server, peer, node, to, error=copies)
        return
    # Kept before it is acknowledged, delivered after: as a server does that loses nothing.
    kept = [copy for copy in copies if server.delivery.keep(copy.number, copy.device, copy.node)]
    server.journal.note(
        "message",
        id=node.get("id"),
        by=f"{peer.number}:{peer.device}",
        to=str(to),
        copies=[f"{copy.number}:{copy.device}" for copy in kept],
    )
    await _acknowledge(server, peer, node, to)
    for copy in kept:
        await server.delivery.push(copy.number, copy.device, copy.node)


async def _acknowledge(
    server: Server,
    peer: Peer,
    node: Node,
    to: Jid,
    *,
    error: int | None = None,
    server_id: int | None = None,
) -> None:
    if server.faults.fires("lose_acks", peer.number, peer.device):
        server.journal.note("ack lost", id=node.get("id"))
        return
    ack = Node.make("ack", id=node.get("id"), from_=to, t=server.now(), error=error)
    if server_id is not None:
        ack.attrs["server_id"] = str(server_id)
    ack.attrs["class"] = "message"
    await peer.send(ack)


def _to_user(server: Server, peer: Peer, node: Node, to: Jid) -> list[_Copy] | int:
    recipient = server.directory.find(to)
    if recipient is None:
        return _NO_SUCH_USER
    sender = server.directory.account(peer.number)
    if not privacy_tokens.admits(server, recipient, sender, node):
        return privacy_tokens.NO_TOKEN
    copies = []
    for target, content in _parts(node, to):
        account = server.directory.find(target)
        if account is None or (account.number, target.device) == (peer.number, peer.device):
            continue
        if account is not sender and _blocked(server, account, sender):
            continue
        by_lid = target.server == LID
        copy = _copy(server, node, content, sender, from_=_own_jid(sender, peer, by_lid))
        lids = server.directory.lids(sender.number, recipient.number)
        if account is sender and node.get("category") != "peer":
            other = recipient if recipient is not sender else sender
            copy.attrs["recipient"] = to.bare
            if to.server == LID:
                copy.attrs["peer_recipient_pn"] = jid_of(other, lid=False)
            elif lids:
                copy.attrs["peer_recipient_lid"] = jid_of(other)
        elif account is not sender and (lids or by_lid):
            copy.attrs["sender_pn" if by_lid else "sender_lid"] = jid_of(sender, lid=not by_lid)
        copies.append(_Copy(account.number, target.device, copy))
    return copies


def _to_group(server: Server, peer: Peer, node: Node, to: Jid) -> list[_Copy] | int:
    group = groups.find(server, to)
    if group is None:
        return _NO_SUCH_USER
    if peer.number not in group.members or (group.announcement and not group.is_admin(peer.number)):
        return _NOT_A_MEMBER
    by_device = {}
    for target, content in _parts(node, to):
        account = server.directory.find(target)
        if account is not None:
            by_device[account.number, target.device] = content
    shared = node.children("enc")
    if "participant" in node.attrs:
        # A retry, for one device only (whatsmeow: retry.go).
        one = node.jid("participant")
        account = server.directory.find(one)
        wanted = [(account.number, one.device)] if account else []
    else:
        wanted = [(n, d) for n in group.members for d in server.directory.devices(n)]
    copies = []
    for number, device in wanted:
        if (number, device) == (peer.number, peer.device):
            continue
        content = [*by_device.get((number, device), []), *shared]
        copies.append(_group_copy(server, peer, node, to, group.mode, number, device, content))
    return copies


def _to_named(server: Server, peer: Peer, node: Node, to: Jid) -> list[_Copy]:
    """A broadcast goes to the devices that it names; the rest of the list is the client's own."""
    shared = node.children("enc")
    copies = []
    for target, content in _parts(node, to):
        account = server.directory.find(target)
        if account is not None:
            mode = "lid" if target.server == LID else "pn"
            encrypted = [*content, *shared]
            copies.append(
                _group_copy(server, peer, node, to, mode, account.number, target.device, encrypted)
            )
    return copies


def _group_copy(
    server: Server,
    peer: Peer,
    node: Node,
    chat: Jid,
    mode: str,
    number: str,
    device: int,
    content: list[Node],
) -> _Copy:
    sender = server.directory.account(peer.number)
    by_lid = mode == "lid"
    copy = _copy(server, node, content, sender, from_=chat)
    copy.attrs["participant"] = _own_jid(sender, peer, by_lid)
    if by_lid or server.directory.lids(peer.number, number):
        other = "participant_pn" if by_lid else "participant_lid"
        copy.attrs[other] = jid_of(sender, lid=not by_lid)
    copy.attrs["addressing_mode"] = mode
    return _Copy(number, device, copy)


def _copy(
    server: Server, node: Node, content: Iterable[Node], sender: Account, *, from_: Jid
) -> Node:
    shared = [child for child in node.children() if child.tag in _SHARED]
    copy = Node.make("message", [*content, *shared], from_=from_, t=server.now())
    copy.attrs |= {name: node.attrs[name] for name in _KEPT if name in node.attrs}
    copy.attrs["notify"] = sender.name
    return copy


def _parts(node: Node, to: Jid) -> list[tuple[Jid, list[Node]]]:
    """(device, what is encrypted for it alone)"""
    participants = node.child("participants")
    if participants is not None:
        return [(t.jid("jid"), t.children("enc")) for t in participants.children("to")]
    return [(to, node.children("enc"))] if to.is_user else []


def _own_jid(account: Account, peer: Peer, by_lid: bool) -> Jid:
    return jid_of(account, device=peer.device, lid=by_lid)


def _blocked(server: Server, account: Account, sender: Account) -> bool:
    return sender.number in (server.store.document("blocklist", account.number) or [])
