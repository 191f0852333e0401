"""Groups and who is in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

__all__ = ["Group", "GroupMember", "GroupRole", "JoinRequest", "MemberAction"]


class GroupRole(StrEnum):
    """What a member may do."""

    PARTICIPANT = "participant"
    ADMIN = "admin"
    SUPERADMIN = "superadmin"


class MemberAction(StrEnum):
    """What an admin does to members."""

    ADD = "add"
    REMOVE = "remove"
    PROMOTE = "promote"
    DEMOTE = "demote"


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupMember:
    """One member, or the outcome of an action on one."""

    #: The address that the group uses for its members, LID or phone number.
    jid: str
    #: Empty when it is not known.
    lid: str = ""
    #: JID of the phone number; empty when it is not known.
    phone: str = ""
    role: GroupRole = GroupRole.PARTICIPANT
    display_name: str = ""
    #: WhatsApp's code of why the action failed for this one (403 privacy, 404 unknown, 409 is in
    #: the group already …); 0: it worked.
    error: int = 0
    #: With error 403: what an invitation by message needs.
    invite_code: str = ""
    invite_expires: float = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """A group, as WhatsApp described it."""

    jid: str
    subject: str
    subject_by: str = ""
    subject_at: datetime | None = None
    description: str = ""
    description_id: str = ""
    description_by: str = ""
    description_at: datetime | None = None
    owner: str = ""
    owner_phone: str = ""
    created_at: datetime | None = None
    #: Only admins edit subject, description and picture.
    locked: bool = False
    #: Only admins send.
    announce: bool = False
    #: Seconds until messages disappear; 0: they stay.
    ephemeral_seconds: int = 0
    incognito: bool = False
    #: A community.
    parent: bool = False
    #: The community it belongs to.
    linked_parent: str = ""
    default_subgroup: bool = False
    participant_version: str = ""
    members: tuple[GroupMember, ...] = field(default_factory=tuple)


@dataclass(frozen=True, kw_only=True, slots=True)
class JoinRequest:
    """Somebody asks to be let into a group."""

    jid: str
    #: Empty when it is not known.
    phone: str
    requested_at: datetime
