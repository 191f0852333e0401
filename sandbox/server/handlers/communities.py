"""Communities: groups of groups, and what is linked to them (whatsmeow: group.go; whatsapp-rust:
features/community.rs)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sandbox.server import groups, notifications
from sandbox.server.errors import IqError
from sandbox.server.groups import Group, group_node, participant
from sandbox.server.handlers.mex import query
from sandbox.server.peer import Peer
from sandbox.server.router import Router
from sandbox.wire.jid import GROUP, Jid
from sandbox.wire.node import Node

if TYPE_CHECKING:
    from sandbox.server.server import Server

__all__ = ["created", "follow", "register"]


def register(router: Router) -> None:
    xmlns = "w:g2"
    router.iq(xmlns, "set", children=["links"])(_link)
    router.iq(xmlns, "set", children=["unlink"])(_unlink)
    router.iq(xmlns, "set", children=["delete_parent"])(_delete)
    router.iq(xmlns, "set", children=["join_linked_group"])(_join)
    router.iq(xmlns, "get", children=["sub_groups"])(_sub_groups)
    router.iq(xmlns, "get", children=["query_linked"])(_query_linked)
    router.iq(xmlns, "get", children=["linked_groups_participants"])(_participants)


async def created(server: Server, peer: Peer, group: Group, asked: Node) -> None:
    """What makes a new group a community, or one of a community."""
    parent, linked = asked.child("parent"), asked.child("linked_parent")
    description = asked.child("description")
    body = description.child("body") if description else None
    if description is not None and body is not None:
        group.description, group.description_id = body.data.decode(), description.get("id")
        group.description_by, group.description_at = peer.number, server.now()
    if parent is not None:
        group.parent = True
        group.default_approval = parent.get("default_membership_approval_mode")
        people = list(group.members)
        announcements = groups.create(server, peer.number, group.subject, people)
        announcements.linked_parent, announcements.default_sub_group, announcements.announcement = (
            group.id,
            True,
            True,
        )
        groups.save(server, announcements)
        if asked.child("create_general_chat") is not None:
            talk = groups.create(server, peer.number, "General", people)
            talk.linked_parent, talk.general_chat = group.id, True
            groups.save(server, talk)
    elif linked is not None:
        community = _community(server, peer, linked.jid("jid"))
        group.linked_parent = community.id
        _admit(server, community, group)


def follow(server: Server, group: Group, numbers: Sequence[str]) -> None:
    """Whoever comes into a community hears its admins."""
    for one in groups.linked_to(server, group) if group.parent and numbers else []:
        if one.default_sub_group:
            one.members |= {number: "" for number in numbers if number not in one.members}
            groups.save(server, one)


async def _link(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    community = _community(server, peer, node.jid("to"))
    links = node.child("links")
    answers = []
    for link in links.children("link") if links else []:
        done = []
        for asked in link.children("group"):
            group = groups.find(server, asked.jid("jid"))
            error = _cannot_link(group, peer)
            if group is not None and not error:
                group.linked_parent = community.id
                groups.save(server, group)
                _admit(server, community, group)
                await _notify(server, peer, community, group, "link")
            done.append(Node.make("group", jid=asked.jid("jid"), error=error))
        answers.append(Node.make("link", done, link_type="sub_group"))
    return [Node.make("links", answers)]


def _cannot_link(group: Group | None, peer: Peer) -> int | None:
    if group is None or group.parent:
        return 404
    if not group.is_admin(peer.number):
        return 403
    return 409 if group.linked_parent else None


async def _unlink(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    community = _community(server, peer, node.jid("to"))
    unlink = node.child("unlink")
    done = []
    for asked in unlink.children("group") if unlink else []:
        group = groups.find(server, asked.jid("jid"))
        error = None
        if group is None or group.linked_parent != community.id:
            error = 404
        elif group.default_sub_group:
            error = 406
        else:
            group.linked_parent, group.general_chat = "", False
            groups.save(server, group)
            await _notify(server, peer, community, group, "unlink")
        done.append(Node.make("group", jid=asked.jid("jid"), error=error))
    return [Node.make("unlink", done, unlink_type="sub_group")]


async def _delete(server: Server, peer: Peer, node: Node) -> None:
    """The groups remain, each by itself; where the admins announced something ends with it."""
    community = _community(server, peer, node.jid("to"))
    for group in groups.linked_to(server, community):
        if group.default_sub_group:
            groups.delete(server, group)
        else:
            group.linked_parent, group.general_chat = "", False
            groups.save(server, group)
    change = Node.make("delete", reason="parent_deleted")
    await notifications.group_changed(
        server,
        community.jid,
        list(community.members),
        [change],
        by=server.directory.account(peer.number),
        mode=community.mode,
    )
    groups.delete(server, community)


async def _join(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    """A member of the community comes into one of its groups."""
    community = _of_member(server, peer, node.jid("to"))
    asked = node.child("join_linked_group")
    group = _linked(server, community, asked)
    if peer.number not in group.members:
        group.members[peer.number] = ""
        groups.save(server, group)
        change = Node.make("add", [participant(server, group, peer.number)], reason="linked_group")
        await notifications.group_changed(
            server,
            group.jid,
            list(group.members),
            [change],
            by=server.directory.account(peer.number),
            mode=group.mode,
        )
    return [Node.make("linked_group", [group_node(server, group)])]


async def _sub_groups(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    community = _of_member(server, peer, node.jid("to"))
    found = [_short(group) for group in groups.linked_to(server, community)]
    return [Node.make("sub_groups", found)]


async def _query_linked(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    community = _of_member(server, peer, node.jid("to"))
    group = _linked(server, community, node.child("query_linked"))
    return [Node.make("linked_group", [group_node(server, group)])]


async def _participants(server: Server, peer: Peer, node: Node) -> Sequence[Node]:
    community = _of_member(server, peer, node.jid("to"))
    numbers = dict.fromkeys(
        number for group in groups.linked_to(server, community) for number in group.members
    )
    people = [participant(server, community, number) for number in numbers]
    return [Node.make("linked_groups_participants", people)]


@query("9935467776504344", "24079399904996141")
async def _all(server: Server, peer: Peer, variables: dict[str, Any]) -> dict[str, Any]:
    """The groups of a community, and how many are in each."""
    asked = variables.get("group_id") or (variables.get("input") or {}).get("group_jid", "")
    community = _of_member(server, peer, Jid.parse(str(asked)))
    found = groups.linked_to(server, community)
    default = next((_sub_group(group) for group in found if group.default_sub_group), None)
    others = [{"node": _sub_group(group)} for group in found if not group.default_sub_group]
    answer = {
        "id": str(community.jid),
        "default_sub_group": default,
        "sub_groups": {"edges": others},
    }
    return {"xwa2_group_query_by_id": answer}


def _sub_group(group: Group) -> dict[str, Any]:
    return {
        "id": str(group.jid),
        "subject": {"value": group.subject},
        "participants_count": len(group.members),
        "total_participants_count": len(group.members),
        "properties": {"general_chat": group.general_chat},
    }


def _short(group: Group) -> Node:
    flags = {"default_sub_group": group.default_sub_group, "general_chat": group.general_chat}
    content = [Node.make(tag) for tag, on in flags.items() if on]
    return Node.make(
        "group",
        content,
        id=group.id,
        subject=group.subject,
        s_t=group.subject_at,
        creation=group.created,
        size=len(group.members),
    )


def _admit(server: Server, community: Group, group: Group) -> None:
    """Members of a linked group are members of the community."""
    new = [number for number in group.members if number not in community.members]
    community.members |= dict.fromkeys(new, "")
    groups.save(server, community)
    follow(server, community, new)


async def _notify(server: Server, peer: Peer, community: Group, group: Group, what: str) -> None:
    by = server.directory.account(peer.number)
    for notified, other, kind in (
        (community, group, "sub_group"),
        (group, community, "parent_group"),
    ):
        change = Node.make(what, [_short(other)])
        change.attrs[f"{what}_type"] = kind
        if what == "unlink":
            change.attrs["unlink_reason"] = "unlink_group"
        await notifications.group_changed(
            server, notified.jid, list(notified.members), [change], by=by, mode=notified.mode
        )


def _linked(server: Server, community: Group, asked: Node | None) -> Group:
    group = groups.find(server, asked.jid("jid")) if asked else None
    if group is None or group.linked_parent != community.id:
        raise IqError(404, "item-not-found")
    return group


def _of_member(server: Server, peer: Peer, jid: Jid) -> Group:
    found = groups.find(server, jid) if jid.server == GROUP else None
    if found is None or not found.parent:
        raise IqError(404, "item-not-found")
    if peer.number not in found.members:
        raise IqError(403, "forbidden")
    return found


def _community(server: Server, peer: Peer, jid: Jid) -> Group:
    found = _of_member(server, peer, jid)
    if not found.is_admin(peer.number):
        raise IqError(401, "not-authorized")
    return found
