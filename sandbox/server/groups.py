"""Groups: who is in them, and how they look in a stanza (whatsmeow: group.go, parseGroupNode)."""

from __future__ import annotations

import secrets
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from sandbox.server.directory import jid_of
from sandbox.wire.jid import GROUP, Jid
from sandbox.wire.node import Node

if TYPE_CHECKING:
    from sandbox.server.server import Server

__all__ = [
    "Group",
    "all_of",
    "by_invite",
    "create",
    "delete",
    "find",
    "group_node",
    "linked_to",
    "save",
]

_KIND = "group"


@dataclass(slots=True, kw_only=True)
class Group:
    """One group."""

    id: str
    subject: str
    creator: str
    created: int
    #: number -> "", "admin" or "superadmin", in the order they joined
    members: dict[str, str]
    #: how members are addressed: `lid` or `pn`
    mode: str = "lid"
    subject_by: str = ""
    subject_at: int = 0
    description: str = ""
    description_id: str = ""
    description_by: str = ""
    description_at: int = 0
    #: only admins may send
    announcement: bool = False
    #: only admins may edit
    locked: bool = False
    approval: bool = False
    #: seconds until messages disappear
    ephemeral: int = 0
    member_add_mode: str = "all_member_add"
    invite: str = ""
    picture_id: str = ""
    #: number -> when it asked to join
    requests: dict[str, int] = field(default_factory=dict)
    #: a community: its members are those of the groups linked to it
    parent: bool = False
    #: id of the community that it is linked to
    linked_parent: str = ""
    #: of a community: where its admins announce something to all members
    default_sub_group: bool = False
    #: of a community: where all members talk
    general_chat: bool = False
    #: `request_required`: of a community whose groups are asked to be joined
    default_approval: str = ""

    @property
    def jid(self) -> Jid:
        return Jid(self.id, GROUP)

    def is_admin(self, number: str) -> bool:
        return bool(self.members.get(number))


def create(server: Server, creator: str, subject: str, members: list[str]) -> Group:
    """A new group; its creator is its first admin."""
    group = Group(
        id=f"1203630{time.time_ns() // 1000}"[:22],
        subject=subject,
        creator=creator,
        created=server.now(),
        members={creator: "superadmin"} | {number: "" for number in members if number != creator},
        subject_by=creator,
        subject_at=server.now(),
        invite=secrets.token_urlsafe(16),
        mode="lid" if server.directory.lids(creator) else "pn",
    )
    save(server, group)
    return group


def save(server: Server, group: Group) -> None:
    server.store.set_document(_KIND, group.id, asdict(group))


def find(server: Server, jid: Jid) -> Group | None:
    data = server.store.document(_KIND, jid.user)
    return Group(**data) if data else None


def all_of(server: Server, number: str) -> list[Group]:
    """The groups an account is a member of."""
    groups = [Group(**data) for data in server.store.documents(_KIND).values()]
    return [group for group in groups if number in group.members]


def linked_to(server: Server, parent: Group) -> list[Group]:
    """The groups of a community."""
    groups = [Group(**data) for data in server.store.documents(_KIND).values()]
    return [group for group in groups if group.linked_parent == parent.id]


def delete(server: Server, group: Group) -> None:
    """The group is no more."""
    server.store.set_document(_KIND, group.id, None)


def by_invite(server: Server, code: str) -> Group | None:
    documents = server.store.documents(_KIND).values()
    return next((Group(**data) for data in documents if data["invite"] == code), None)


def participant(server: Server, group: Group, number: str, *, error: int | None = None) -> Node:
    """A member as one element; `error`: why something did not work with it."""
    account = server.directory.account(number)
    by_lid = group.mode == "lid"
    return Node.make(
        "participant",
        jid=jid_of(account, lid=by_lid),
        lid=None if by_lid or not server.directory.lids(number) else jid_of(account),
        phone_number=jid_of(account, lid=False) if by_lid else None,
        type=group.members.get(number) or None,
        error=error,
    )


def group_node(server: Server, group: Group) -> Node:
    """Everything about a group."""
    content = [participant(server, group, number) for number in group.members]
    if group.description:
        content.append(
            Node.make(
                "description",
                [Node.make("body", group.description)],
                id=group.description_id,
                t=group.description_at,
                participant=_person(server, group, group.description_by),
            )
        )
    flags = {
        "announcement": group.announcement,
        "locked": group.locked,
        "membership_approval_mode": group.approval,
    }
    content += [Node.make(tag) for tag, on in flags.items() if on]
    if group.parent:
        mode = group.default_approval or None
        content.append(Node.make("parent", default_membership_approval_mode=mode))
    if group.linked_parent:
        content.append(Node.make("linked_parent", jid=Jid(group.linked_parent, GROUP)))
    if group.default_sub_group:
        content.append(Node.make("default_sub_group"))
    if group.general_chat:
        content.append(Node.make("general_chat"))
    if group.ephemeral:
        content.append(Node.make("ephemeral", expiration=group.ephemeral))
    content.append(Node.make("member_add_mode", group.member_add_mode))
    return Node.make(
        "group",
        content,
        id=group.id,
        creation=group.created,
        creator=_person(server, group, group.creator),
        subject=group.subject,
        s_t=group.subject_at,
        s_o=_person(server, group, group.subject_by),
        addressing_mode=group.mode,
        size=len(group.members),
    )


def _person(server: Server, group: Group, number: str) -> Jid | None:
    account = server.directory.account(number) if number else None
    return jid_of(account, lid=group.mode == "lid") if account else None
