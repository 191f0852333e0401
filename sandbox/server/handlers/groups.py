"""What members do to groups (whatsmeow: group.go)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sandbox.server import groups, notifications
from sandbox.server.errors import IqError
from sandbox.server.groups import Group, group_node, participant
from sandbox.server.handlers import communities
from sandbox.server.peer import Peer
from sandbox.server.router import Router
from sandbox.wire.node import Node

if TYPE_CHECKING:
    from sandbox.server.server import Server

_ROLES = {"promote": "admin", "demote": ""}
#: tag -> (attribute of the group, its new value)
_SWITCHES: dict[str, tuple[str, bool]] = {
    "announcement": ("announcement", True),
    "not_announcement": ("announcement", False),
    "locked": ("locked", True),
    "unlocked": ("locked", False),
}


def register(router: Router) -> None:
    xmlns = "w:g2"
    router.iq(xmlns, "set", children=["create"])(_create)
    router.iq(xmlns, "get", children=["query"])(_query)
    router.iq(xmlns, "get", children=["participating"])(_participating)
    router.iq(xmlns, "set", children=["add"])(_add)
    router.iq(xmlns, "set", children=["remove"])(_remove)
    router.iq(xmlns, "set", children=list(_ROLES))(_role)
    router.iq(xmlns, "set", children=["leave"])(_leave)
    router.iq(xmlns, "set", children=["subject"])(_subject)
    router.iq(xmlns, "set", children=["description"])(_description)
    router.iq(xmlns, "set", children=list(_SWITCHES))(_switch)
    router.iq(xmlns, "set", children=["ephemeral", "not_ephemeral"])(_ephemeral)
    router.iq(xmlns, "set", children=["membership_approval_mode"])(_approval_mode)
    router.iq(xmlns, "set", children=["member_add_mode"])(_member_add_mode)
    router.iq(xmlns, "get", children=["invite"])(_invite_get)
    router.iq(xmlns, "set", children=["invite"])(_invite_set)
    router.iq(xmlns, "get", children=["membership_approval_requests"])(_requests)
    router.iq(xmlns, "set", children=["membership_requests_action"])(_decide)


async def _create(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    asked = _child(node, "create")
    found = [server.directory.find(p.jid("jid")) for p in asked.children("participant")]
    group = groups.create(
        server, peer.number, asked.get("subject"), [a.number for a in found if a is not None]
    )
    group.announcement = asked.child("announcement") is not None
    group.locked = asked.child("locked") is not None
    await communities.created(server, peer, group, asked)
    groups.save(server, group)
    change = Node.make("create", [group_node(server, group)], type="new", key=group.id)
    await _notify(server, peer, group, [change])
    return [group_node(server, group)]


async def _query(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    return [group_node(server, _member_of(server, peer, node))]


async def _participating(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    found = groups.all_of(server, peer.number)
    return [Node.make("groups", [group_node(server, group) for group in found])]


async def _add(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    group = _member_of(server, peer, node)
    if group.member_add_mode == "admin_add":
        _require_admin(group, peer)
    answers, added = [], []
    for asked in _child(node, "add").children("participant"):
        account = server.directory.find(asked.jid("jid"))
        if account is None:
            answers.append(Node.make("participant", jid=asked.jid("jid"), error=404))
        elif account.number in group.members:
            answers.append(participant(server, group, account.number, error=409))
        else:
            group.members[account.number] = ""
            group.requests.pop(account.number, None)
            added.append(account.number)
            answers.append(participant(server, group, account.number))
    groups.save(server, group)
    communities.follow(server, group, added)
    await _changed_members(server, peer, group, "add", added, recipients=list(group.members))
    return [Node.make("add", answers)]


async def _remove(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    group = _admin_of(server, peer, node)
    recipients = list(group.members)
    answers, removed = [], []
    for asked in _child(node, "remove").children("participant"):
        account = server.directory.find(asked.jid("jid"))
        if account is None or account.number not in group.members:
            answers.append(Node.make("participant", jid=asked.jid("jid"), error=404))
            continue
        answers.append(participant(server, group, account.number))
        del group.members[account.number]
        removed.append(account.number)
    groups.save(server, group)
    await _changed_members(server, peer, group, "remove", removed, recipients=recipients)
    return [Node.make("remove", answers)]


async def _role(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    group = _admin_of(server, peer, node)
    asked = next(child for child in node.children() if child.tag in _ROLES)
    answers, changed = [], []
    for one in asked.children("participant"):
        account = server.directory.find(one.jid("jid"))
        if account is None or account.number not in group.members:
            answers.append(Node.make("participant", jid=one.jid("jid"), error=404))
            continue
        group.members[account.number] = _ROLES[asked.tag]
        changed.append(account.number)
        answers.append(participant(server, group, account.number))
    groups.save(server, group)
    await _changed_members(server, peer, group, asked.tag, changed, recipients=list(group.members))
    return [Node.make(asked.tag, answers)]


async def _leave(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    answers = []
    for asked in _child(node, "leave").children("group"):
        group = groups.find(server, asked.jid("id"))
        if group is None or peer.number not in group.members:
            answers.append(Node.make("group", id=asked.jid("id"), error=404))
            continue
        recipients = list(group.members)
        del group.members[peer.number]
        groups.save(server, group)
        await _changed_members(server, peer, group, "remove", [peer.number], recipients=recipients)
        answers.append(Node.make("group", id=asked.jid("id")))
    return [Node.make("leave", answers)]


async def _subject(server: Server, peer: Peer, node: Node) -> None:
    group = _editor_of(server, peer, node)
    group.subject = _child(node, "subject").data.decode(errors="replace")
    group.subject_by, group.subject_at = peer.number, server.now()
    groups.save(server, group)
    change = Node.make("subject", subject=group.subject, s_t=group.subject_at)
    await _notify(server, peer, group, [change])


async def _description(server: Server, peer: Peer, node: Node) -> None:
    group = _editor_of(server, peer, node)
    asked = _child(node, "description")
    body = asked.child("body")
    group.description = body.data.decode(errors="replace") if body else ""
    group.description_id = asked.get("id")
    group.description_by, group.description_at = peer.number, server.now()
    groups.save(server, group)
    content = [Node.make("body", group.description)] if body else [Node.make("delete")]
    await _notify(server, peer, group, [Node.make("description", content, id=asked.get("id"))])


async def _switch(server: Server, peer: Peer, node: Node) -> None:
    group = _admin_of(server, peer, node)
    asked = next(child for child in node.children() if child.tag in _SWITCHES)
    name, value = _SWITCHES[asked.tag]
    setattr(group, name, value)
    groups.save(server, group)
    # whatsmeow drops an announcement without a version.
    version = server.now() if name == "announcement" else None
    await _notify(server, peer, group, [Node.make(asked.tag, v_id=version)])


async def _ephemeral(server: Server, peer: Peer, node: Node) -> None:
    group = _editor_of(server, peer, node)
    asked = node.child("ephemeral")
    group.ephemeral = int(asked.get("expiration", "0")) if asked else 0
    groups.save(server, group)
    change = (
        Node.make("ephemeral", expiration=group.ephemeral)
        if group.ephemeral
        else Node.make("not_ephemeral")
    )
    await _notify(server, peer, group, [change])


async def _approval_mode(server: Server, peer: Peer, node: Node) -> None:
    group = _admin_of(server, peer, node)
    join = _child(node, "membership_approval_mode").child("group_join")
    group.approval = join is not None and join.get("state") == "on"
    groups.save(server, group)


async def _member_add_mode(server: Server, peer: Peer, node: Node) -> None:
    group = _admin_of(server, peer, node)
    group.member_add_mode = _child(node, "member_add_mode").data.decode(errors="replace")
    groups.save(server, group)


async def _invite_get(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    """The code of one's own group, or the group of a code."""
    code = _child(node, "invite").get("code")
    if code:
        return [group_node(server, _of_code(server, code))]
    group = _admin_of(server, peer, node)
    return [Node.make("invite", code=group.invite)]


async def _invite_set(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    """A new code for one's own group, or joining by a code."""
    code = _child(node, "invite").get("code")
    if not code:
        group = _admin_of(server, peer, node)
        group.invite = notifications.new_id()
        groups.save(server, group)
        await _notify(server, peer, group, [Node.make("invite", code=group.invite)])
        return [Node.make("invite", code=group.invite)]
    group = _of_code(server, code)
    if peer.number in group.members:
        raise IqError(409, "conflict")
    if group.approval:
        group.requests[peer.number] = server.now()
        groups.save(server, group)
        return [Node.make("membership_approval_request", jid=group.jid)]
    group.members[peer.number] = ""
    groups.save(server, group)
    await _changed_members(
        server, peer, group, "add", [peer.number], recipients=list(group.members), reason="invite"
    )
    return [Node.make("group", jid=group.jid)]


async def _requests(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    group = _admin_of(server, peer, node)
    found = []
    for number, asked_at in group.requests.items():
        jid = participant(server, group, number).jid("jid")
        found.append(Node.make("membership_approval_request", jid=jid, request_time=asked_at))
    return [Node.make("membership_approval_requests", found)]


async def _decide(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    group = _admin_of(server, peer, node)
    answers, added = [], []
    for decision in _child(node, "membership_requests_action").children():
        done = []
        for asked in decision.children("participant"):
            account = server.directory.find(asked.jid("jid"))
            if account is None or group.requests.pop(account.number, None) is None:
                done.append(Node.make("participant", jid=asked.jid("jid"), error=404))
                continue
            if decision.tag == "approve":
                group.members[account.number] = ""
                added.append(account.number)
            done.append(participant(server, group, account.number))
        answers.append(Node.make(decision.tag, done))
    groups.save(server, group)
    await _changed_members(server, peer, group, "add", added, recipients=list(group.members))
    return [Node.make("membership_requests_action", answers)]


async def _changed_members(
    server: Server,
    peer: Peer,
    group: Group,
    what: str,
    numbers: Sequence[str],
    *,
    recipients: Sequence[str],
    reason: str | None = None,
) -> None:
    if numbers:
        people = [participant(server, group, number) for number in numbers]
        await _notify(
            server, peer, group, [Node.make(what, people, reason=reason)], recipients=recipients
        )


async def _notify(
    server: Server,
    peer: Peer,
    group: Group,
    changes: Sequence[Node],
    *,
    recipients: Sequence[str] | None = None,
) -> None:
    await notifications.group_changed(
        server,
        group.jid,
        recipients if recipients is not None else list(group.members),
        changes,
        by=server.directory.account(peer.number),
        mode=group.mode,
    )


def _child(node: Node, tag: str) -> Node:
    child = node.child(tag)
    if child is None:
        raise IqError(400, "bad-request")
    return child


def _member_of(server: Server, peer: Peer, node: Node) -> Group:
    group = groups.find(server, node.jid("to"))
    if group is None:
        raise IqError(404, "item-not-found")
    if peer.number not in group.members:
        raise IqError(403, "forbidden")
    return group


def _admin_of(server: Server, peer: Peer, node: Node) -> Group:
    group = _member_of(server, peer, node)
    _require_admin(group, peer)
    return group


def _editor_of(server: Server, peer: Peer, node: Node) -> Group:
    group = _member_of(server, peer, node)
    if group.locked:
        _require_admin(group, peer)
    return group


def _require_admin(group: Group, peer: Peer) -> None:
    if not group.is_admin(peer.number):
        raise IqError(401, "not-authorized")


def _of_code(server: Server, code: str) -> Group:
    group = groups.by_invite(server, code)
    if group is None:
        raise IqError(406, "not-acceptable")
    return group
