"""Groups: looking, creating, members, settings, invitations. `group` is a JID."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.domain.group import Group, GroupMember, JoinRequest, MemberAction
from cluster.domain.verbs.verb import Verb

__all__ = [
    "Announce",
    "Approve",
    "Create",
    "Description",
    "Get",
    "Invite",
    "Join",
    "JoinRequests",
    "Leave",
    "List",
    "Lock",
    "Members",
    "Picture",
    "Preview",
    "Subject",
]


@dataclass(frozen=True, kw_only=True)
class List(Verb[list[Group]], name="groups.list"):
    """The groups this account is in: asked of WhatsApp once, and again after something about a
    group changed, or when they are to be `fresh`."""

    fresh: bool = False


@dataclass(frozen=True, kw_only=True)
class Get(Verb[Group], name="groups.get"):
    """One of them."""

    group: str


@dataclass(frozen=True, kw_only=True)
class Create(Verb[Group], name="groups.create"):
    """Members that could not be added are in the answer with their `error`."""

    subject: str
    participants: list[str]

    @property
    def repeatable(self) -> bool:
        return False


@dataclass(frozen=True, kw_only=True)
class Leave(Verb[None], name="groups.leave"):
    """Be no member any more."""

    group: str


@dataclass(frozen=True, kw_only=True)
class Subject(Verb[None], name="groups.subject"):
    """Name it."""

    group: str
    subject: str


@dataclass(frozen=True, kw_only=True)
class Description(Verb[None], name="groups.description"):
    """Describe it; empty removes the description."""

    group: str
    description: str


@dataclass(frozen=True, kw_only=True)
class Picture(Verb[None], name="groups.picture"):
    """Give it a picture."""

    group: str
    #: Base64; empty removes the picture.
    jpeg: str


@dataclass(frozen=True, kw_only=True)
class Lock(Verb[None], name="groups.locked"):
    """Whether only admins edit subject, description and picture."""

    group: str
    locked: bool


@dataclass(frozen=True, kw_only=True)
class Announce(Verb[None], name="groups.announce"):
    """Whether only admins send."""

    group: str
    announce: bool


@dataclass(frozen=True, kw_only=True)
class Invite(Verb[str], name="groups.invite"):
    """The link `https://chat.whatsapp.com/<code>`; with `revoke` a new one."""

    group: str
    revoke: bool = False

    @property
    def repeatable(self) -> bool:
        return not self.revoke


@dataclass(frozen=True, kw_only=True)
class Preview(Verb[Group], name="groups.preview"):
    """The group behind an invite code or link, without joining."""

    code: str


@dataclass(frozen=True, kw_only=True)
class Join(Verb[str], name="groups.join"):
    """The JID of the group, also for who is in it already; in a group that approves its members
    this is a request to join."""

    code: str


@dataclass(frozen=True, kw_only=True)
class Members(Verb[list[GroupMember]], name="groups.members"):
    """Add, remove, promote or demote; the outcome for each."""

    group: str
    participants: list[str]
    action: MemberAction


@dataclass(frozen=True, kw_only=True)
class JoinRequests(Verb[list[JoinRequest]], name="groups.join_requests"):
    """Who asks to be let in."""

    group: str


@dataclass(frozen=True, kw_only=True)
class Approve(Verb[list[GroupMember]], name="groups.approve"):
    """Let in who asked to be. The outcome for each; 404 for those who did not ask."""

    group: str
    participants: list[str]
