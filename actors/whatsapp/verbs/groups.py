"""Groups: looking, creating, members, settings, invitations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

from neonize.aioze.client import NewAClient
from neonize.proto.Neonize_pb2 import JID
from neonize.proto.Neonize_pb2 import GroupInfo as LibraryGroup
from neonize.proto.Neonize_pb2 import GroupParticipant as LibraryMember
from neonize.utils.enum import ParticipantChange

from actors.whatsapp.incoming import timestamp
from actors.whatsapp.jids import from_text, to_text
from actors.whatsapp.verbs.asking import ask
from actors.whatsapp.verbs.pictures import image
from actors.whatsapp.verbs.registry import Device
from cluster.domain.errors import WhatsAppRefused
from cluster.domain.group import Group, GroupMember, GroupRole, JoinRequest, MemberAction
from cluster.domain.verbs import groups

T = TypeVar("T")

_CHANGES = {
    MemberAction.ADD: ParticipantChange.ADD,
    MemberAction.REMOVE: ParticipantChange.REMOVE,
    MemberAction.PROMOTE: ParticipantChange.PROMOTE,
    MemberAction.DEMOTE: ParticipantChange.DEMOTE,
}


#: Steps of 32-bit floats at today's Unix times; digits of these times.
_CREATED_STEP, _SECONDS_DIGITS = 128, 10
#: What is no time of a group's, Unix seconds.
_LATEST = 2**34
#: WhatsApp's answer to joining a group that one is in.
_CONFLICT = "status 409"
#: WhatsApp's code for a person whom an action does not find.
_NOT_ASKED = 404


@groups.List.handler
async def list_groups(device: Device, verb: groups.List) -> list[Group]:

    async def fetch() -> list[Group]:
        return [describe(g) for g in await ask(device, lambda library: library.get_joined_groups())]

    if verb.fresh:
        device.groups.forget()
    return await device.groups.get(fetch)


@groups.Get.handler
async def get(device: Device, verb: groups.Get) -> Group:
    return describe(
        await ask(device, lambda library: library.get_group_info(from_text(verb.group)))
    )


@groups.Create.handler
async def create(device: Device, verb: groups.Create) -> Group:
    people = [from_text(p) for p in verb.participants]
    return describe(
        await _change(device, lambda library: library.create_group(verb.subject, people))
    )


@groups.Leave.handler
async def leave(device: Device, verb: groups.Leave) -> None:
    await _change(device, lambda library: library.leave_group(from_text(verb.group)))


@groups.Subject.handler
async def set_subject(device: Device, verb: groups.Subject) -> None:
    await _change(
        device, lambda library: library.set_group_name(from_text(verb.group), verb.subject)
    )


@groups.Description.handler
async def set_description(device: Device, verb: groups.Description) -> None:
    await _change(
        device,
        lambda library: library.set_group_topic(from_text(verb.group), "", "", verb.description),
    )


@groups.Picture.handler
async def set_picture(device: Device, verb: groups.Picture) -> None:
    data = image(verb.jpeg)
    await ask(device, lambda library: library.set_group_photo(from_text(verb.group), data))


@groups.Lock.handler
async def set_locked(device: Device, verb: groups.Lock) -> None:
    await _change(
        device, lambda library: library.set_group_locked(from_text(verb.group), verb.locked)
    )


@groups.Announce.handler
async def set_announce(device: Device, verb: groups.Announce) -> None:
    await _change(
        device, lambda library: library.set_group_announce(from_text(verb.group), verb.announce)
    )


@groups.Invite.handler
async def invite(device: Device, verb: groups.Invite) -> str:
    return str(
        await ask(
            device,
            lambda library: library.get_group_invite_link(from_text(verb.group), verb.revoke),
        )
    )


@groups.Preview.handler
async def preview(device: Device, verb: groups.Preview) -> Group:
    return describe(await ask(device, lambda library: library.get_group_info_from_link(verb.code)))


@groups.Join.handler
async def join(device: Device, verb: groups.Join) -> str:
    try:
        return to_text(
            await _change(device, lambda library: library.join_group_with_link(verb.code))
        )
    except WhatsAppRefused as error:
        if _CONFLICT not in error.detail:
            raise
    return (await preview(device, groups.Preview(code=verb.code))).jid


@groups.Members.handler
async def change_members(device: Device, verb: groups.Members) -> list[GroupMember]:
    jid = from_text(verb.group)
    people = [from_text(p) for p in verb.participants]
    if verb.action is not MemberAction.ADD:
        # People are named to WhatsApp as the group names its members.
        info = await ask(device, lambda library: library.get_group_info(jid))
        people = [_as_member(p, info) for p in people]
    outcome = await _change(
        device,
        lambda library: library.update_group_participants(jid, people, _CHANGES[verb.action]),
    )
    return [member(one) for one in outcome]


@groups.JoinRequests.handler
async def join_requests(device: Device, verb: groups.JoinRequests) -> list[JoinRequest]:
    found = await ask(
        device, lambda library: library.get_group_request_participants(from_text(verb.group))
    )
    requests = []
    for request in found:
        jid = to_text(request.Participant)
        phone = await device.by_phone(jid)
        requests.append(
            JoinRequest(
                jid=jid,
                phone="" if phone.endswith("@lid") else phone,
                requested_at=timestamp(request.TimeAt),
            )
        )
    return requests


@groups.Approve.handler
async def approve(device: Device, verb: groups.Approve) -> list[GroupMember]:
    requests = await join_requests(device, groups.JoinRequests(group=verb.group))
    asked = {request.jid for request in requests}
    phones = {await device.by_phone(jid): jid for jid in asked}
    wanted = {person: phones.get(person, person) for person in verb.participants}
    let_in = [from_text(jid) for jid in wanted.values() if jid in asked]
    outcome = [
        GroupMember(jid=jid, error=_NOT_ASKED) for jid in wanted.values() if jid not in asked
    ]
    if let_in:
        # By adding them: the library does not pass on whatsmeow's own call.
        outcome += [
            member(one)
            for one in await _change(
                device,
                lambda library: library.update_group_participants(
                    from_text(verb.group), let_in, ParticipantChange.ADD
                ),
            )
        ]
    return outcome


async def _change(device: Device, use: Callable[[NewAClient], Awaitable[T]]) -> T:
    """`ask`, for what changes groups."""
    try:
        return await ask(device, use)
    finally:
        device.groups.forget()


def describe(info: LibraryGroup) -> Group:
    ephemeral = info.GroupEphemeral
    return Group(
        jid=to_text(info.JID),
        subject=info.GroupName.Name,
        subject_by=to_text(info.GroupName.NameSetBy),
        subject_at=_time(info.GroupName.NameSetAt),
        description=info.GroupTopic.Topic,
        description_id=info.GroupTopic.TopicID,
        description_by=to_text(info.GroupTopic.TopicSetBy),
        description_at=_time(info.GroupTopic.TopicSetAt),
        owner=to_text(info.OwnerJID),
        owner_phone=to_text(info.OwnerPN),
        created_at=_created_at(info),
        locked=info.GroupLocked.isLocked,
        announce=info.GroupAnnounce.IsAnnounce,
        ephemeral_seconds=ephemeral.DisappearingTimer if ephemeral.IsEphemeral else 0,
        incognito=info.GroupIncognito.IsIncognito,
        parent=info.GroupParent.IsParent,
        linked_parent=to_text(info.GroupLinkedParent.LinkedParentJID),
        default_subgroup=info.GroupIsDefaultSub.IsDefaultSubGroup,
        participant_version=info.ParticipantVersionID,
        members=tuple([member(one) for one in info.Participants]),
    )


def member(one: LibraryMember) -> GroupMember:
    role = GroupRole.PARTICIPANT
    if one.IsSuperAdmin:
        role = GroupRole.SUPERADMIN
    elif one.IsAdmin:
        role = GroupRole.ADMIN
    return GroupMember(
        jid=to_text(one.JID),
        lid=to_text(one.LID),
        phone=to_text(one.PhoneNumber),
        role=role,
        display_name=one.DisplayName,
        error=one.Error,
        invite_code=one.AddRequest.Code,
        invite_expires=one.AddRequest.Expiration,
    )


def _as_member(person: JID, info: LibraryGroup) -> JID:
    text = to_text(person)
    for one in info.Participants:
        if text in (to_text(one.JID), to_text(one.LID), to_text(one.PhoneNumber)):
            return one.JID
    return person


def _created_at(info: LibraryGroup) -> datetime | None:
    """neonize 0.5.2 has it as a float of 32 bits, in steps of two minutes. Older ids end with it;
    a group whose name is as old as itself was named when it was made."""
    digits = info.JID.User.partition("-")[2]
    if digits.isdecimal() and len(digits) == _SECONDS_DIGITS:
        return _time(int(digits))
    rounded, named = info.GroupCreated, info.GroupName.NameSetAt
    return _time(named if abs(named - rounded) <= _CREATED_STEP else rounded)


def _time(seconds: float) -> datetime | None:
    # Go's zero time is the year 1.
    return datetime.fromtimestamp(seconds, UTC) if 0 < seconds < _LATEST else None
