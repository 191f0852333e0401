"""Bodies of the groups group; answers as of WAHA's GOWS engine, which is whatsmeow's form."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, StringConstraints

from api.message_ids import waha_id
from api.models import WahaModel
from cluster.domain.group import Group, GroupMember, GroupRole, JoinRequest

__all__ = [
    "CreateGroupRequest",
    "DescriptionRequest",
    "GroupAnswer",
    "GroupJoinRequestAnswer",
    "GroupJoinRequestResult",
    "GroupParticipant",
    "JoinGroupRequest",
    "JoinGroupResponse",
    "MemberAnswer",
    "ParticipantsRequest",
    "SettingsMemberAddMode",
    "SettingsMemberShareHistoryMode",
    "SettingsMembershipApproval",
    "SettingsSecurityChangeInfo",
    "SubjectRequest",
]

#: What Go's encoder makes of a time that is not set.
_NO_TIME = "0001-01-01T00:00:00Z"
_Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]


class Participant(WahaModel):
    id: str = Field(max_length=128, examples=["123456789@c.us"])


class CreateGroupRequest(WahaModel):
    name: _Text = Field(min_length=1, max_length=100, examples=["Friends"])
    participants: list[Participant] = Field(max_length=1024)


class JoinGroupRequest(WahaModel):
    code: str = Field(
        max_length=256,
        description="Group code (123) or url (https://chat.whatsapp.com/123)",
        examples=["https://chat.whatsapp.com/1234567890abcdef"],
    )


class JoinGroupResponse(WahaModel):
    id: str = Field(description="Group ID", examples=["123@g.us"])


class SubjectRequest(WahaModel):
    subject: _Text = Field(min_length=1, max_length=100)


class DescriptionRequest(WahaModel):
    description: _Text = Field(max_length=2048, description="Empty removes it.")


class SettingsSecurityChangeInfo(WahaModel):
    adminsOnly: bool = True


class SettingsMemberAddMode(WahaModel):
    membersCanAddNewMember: bool


class SettingsMemberShareHistoryMode(WahaModel):
    membersCanShareHistory: bool


class SettingsMembershipApproval(WahaModel):
    newMembersApprovalRequired: bool


class ParticipantsRequest(WahaModel):
    participants: list[Participant] = Field(min_length=1, max_length=1024)

    def ids(self) -> list[str]:
        return [one.id for one in self.participants]


class GroupParticipant(WahaModel):
    """A member in the form that all of WAHA's engines share."""

    id: str = Field(description="Member ID in @c.us or @lid format", examples=["123456789@lid"])
    pn: str | None = Field(None, description="Member ID in @c.us format")
    role: GroupRole

    @classmethod
    def of(cls, member: GroupMember) -> Self:
        return cls(
            id=waha_id(member.jid),
            pn=waha_id(member.phone) if member.phone else None,
            role=member.role,
        )


class MemberInvite(WahaModel):
    """What an invitation by message needs."""

    Code: str
    Expiration: float = Field(description="Unix time")


class MemberAnswer(WahaModel):
    """whatsmeow's GroupParticipant."""

    JID: str = Field(examples=["123456789@lid"])
    PhoneNumber: str = Field(examples=["123456789@s.whatsapp.net"])
    LID: str
    IsAdmin: bool
    IsSuperAdmin: bool
    DisplayName: str = ""
    Error: int = Field(0, description="0, or why the action failed: 403, 404, 409 …")
    AddRequest: MemberInvite | None = None

    @classmethod
    def of(cls, member: GroupMember) -> Self:
        return cls(
            JID=member.jid,
            PhoneNumber=member.phone,
            LID=member.lid,
            IsAdmin=member.role is not GroupRole.PARTICIPANT,
            IsSuperAdmin=member.role is GroupRole.SUPERADMIN,
            DisplayName=member.display_name,
            Error=member.error,
            AddRequest=MemberInvite(Code=member.invite_code, Expiration=member.invite_expires)
            if member.invite_code
            else None,
        )


class GroupAnswer(WahaModel):
    """whatsmeow's GroupInfo; `id` and `subject` beside it, as WAHA's other engines have them."""

    id: str = Field(examples=["123456789@g.us"])
    subject: str
    JID: str
    OwnerJID: str
    OwnerPN: str
    Name: str
    NameSetAt: str
    NameSetBy: str
    Topic: str = Field(description="The description.")
    TopicID: str
    TopicSetAt: str
    TopicSetBy: str
    TopicDeleted: bool = False
    IsLocked: bool = Field(description="Only admins edit subject, description and picture.")
    IsAnnounce: bool = Field(description="Only admins send.")
    IsEphemeral: bool
    DisappearingTimer: int = Field(description="Seconds")
    IsIncognito: bool
    IsParent: bool = Field(description="A community.")
    LinkedParentJID: str
    IsDefaultSubGroup: bool
    GroupCreated: str
    ParticipantVersionID: str
    ParticipantCount: int
    Participants: list[MemberAnswer] | None = None

    @classmethod
    def of(cls, group: Group, *, participants: bool = True) -> Self:
        return cls(
            id=group.jid,
            subject=group.subject,
            JID=group.jid,
            OwnerJID=group.owner,
            OwnerPN=group.owner_phone,
            Name=group.subject,
            NameSetAt=_time(group.subject_at),
            NameSetBy=group.subject_by,
            Topic=group.description,
            TopicID=group.description_id,
            TopicSetAt=_time(group.description_at),
            TopicSetBy=group.description_by,
            IsLocked=group.locked,
            IsAnnounce=group.announce,
            IsEphemeral=group.ephemeral_seconds > 0,
            DisappearingTimer=group.ephemeral_seconds,
            IsIncognito=group.incognito,
            IsParent=group.parent,
            LinkedParentJID=group.linked_parent,
            IsDefaultSubGroup=group.default_subgroup,
            GroupCreated=_time(group.created_at),
            ParticipantVersionID=group.participant_version,
            ParticipantCount=len(group.members),
            Participants=[MemberAnswer.of(m) for m in group.members] if participants else None,
        )


class GroupJoinRequestAnswer(WahaModel):
    requesterId: str = Field(examples=["123456789@c.us"])
    requesterPn: str | None = Field(None, description="If known.")
    addedById: str | None = Field(None, description="The library does not say.")
    parentGroupId: str | None = Field(None, description="The library does not say.")
    requestMethod: str | None = Field(None, description="The library does not say.")
    timestamp: int = Field(description="Unix time of the request.")

    @classmethod
    def of(cls, request: JoinRequest) -> Self:
        return cls(
            requesterId=waha_id(request.jid),
            requesterPn=waha_id(request.phone) if request.phone else None,
            timestamp=int(request.requested_at.timestamp()),
        )


class GroupJoinRequestResult(WahaModel):
    requesterId: str = Field(examples=["123456789@c.us"])
    success: bool
    error: int | None = Field(None, description="WhatsApp's code: 403, 404 …")

    @classmethod
    def of(cls, member: GroupMember) -> Self:
        return cls(
            requesterId=waha_id(member.jid), success=not member.error, error=member.error or None
        )


def _time(moment: datetime | None) -> str:
    return moment.isoformat().replace("+00:00", "Z") if moment else _NO_TIME
