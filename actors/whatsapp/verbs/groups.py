"""Groups: looking, creating, members, settings, invitations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from neonize.aioze.client import NewAClient
from neonize.proto.Neonize_pb2 import JID
from neonize.proto.Neonize_pb2 import GroupInfo as LibraryGroup
from neonize.proto.Neonize_pb2 import GroupParticipant as LibraryMember
from neonize.utils.enum import ParticipantChange

from actors.whatsapp.incoming import timestamp
from actors.whatsapp.jids import from_text, to_text
from actors.whatsapp.verbs.asking import ask
from actors.whatsapp.verbs.pictures import image
from actors.whatsapp.verbs.registry import Device, verb
from cluster.domain.errors import WhatsAppRefused
from cluster.domain.group import GroupRole, MemberAction

T = TypeVar("T")

_CHANGES = {
    MemberAction.ADD: ParticipantChange.ADD,
    MemberAction.REMOVE: ParticipantChange.REMOVE,
    MemberAction.PROMOTE: ParticipantChange.PROMOTE,
    MemberAction.DEMOTE: ParticipantChange.DEMOTE,
}


#: Steps of 32-bit floats at today's Unix times; digits of these times.
_CREATED_STEP, _SECONDS_DIGITS = 128, 10
#: WhatsApp's answer to joining a group that one is in.
_CONFLICT = "status 409"
#: WhatsApp's code for a person whom an action does not find.
_NOT_ASKED = 404


@verb("groups.list")
async def list_groups(device: Device, *, fresh: bool = False) -> list[dict[str, Any]]:
    """The groups this account is in: asked of WhatsApp once, and again after something about a
    group changed, or when they are to be `fresh`."""

    async def fetch() -> list[dict[str, Any]]:
        return [describe(g) for g in await ask(device, lambda library: library.get_joined_groups())]

    if fresh:
        device.groups.forget()
    return await device.groups.get(fetch)


@verb("groups.get")
async def get(device: Device, *, group: str) -> dict[str, Any]:
    return describe(await ask(device, lambda library: library.get_group_info(from_text(group))))


@verb("groups.create")
async def create(device: Device, *, subject: str, participants: list[str]) -> dict[str, Any]:
    """Members that could not be added are in the answer with their `error`."""
    people = [from_text(p) for p in participants]
    return describe(await _change(device, lambda library: library.create_group(subject, people)))


@verb("groups.leave")
async def leave(device: Device, *, group: str) -> None:
    await _change(device, lambda library: library.leave_group(from_text(group)))


@verb("groups.subject")
async def set_subject(device: Device, *, group: str, subject: str) -> None:
    await _change(device, lambda library: library.set_group_name(from_text(group), subject))


@verb("groups.description")
async def set_description(device: Device, *, group: str, description: str) -> None:
    """Empty removes it. The library looks up the present one, whose id must be named."""
    await _change(
        device, lambda library: library.set_group_topic(from_text(group), "", "", description)
    )


@verb("groups.picture")
async def set_picture(device: Device, *, group: str, jpeg: str) -> None:
    """`jpeg`: base64; empty removes the picture."""
    data = image(jpeg)
    await ask(device, lambda library: library.set_group_photo(from_text(group), data))


@verb("groups.locked")
async def set_locked(device: Device, *, group: str, locked: bool) -> None:
    await _change(device, lambda library: library.set_group_locked(from_text(group), locked))


@verb("groups.announce")
async def set_announce(device: Device, *, group: str, announce: bool) -> None:
    await _change(device, lambda library: library.set_group_announce(from_text(group), announce))


@verb("groups.invite")
async def invite(device: Device, *, group: str, revoke: bool = False) -> str:
    """The link `https://chat.whatsapp.com/<code>`; with `revoke` a new one."""
    return str(
        await ask(device, lambda library: library.get_group_invite_link(from_text(group), revoke))
    )


@verb("groups.preview")
async def preview(device: Device, *, code: str) -> dict[str, Any]:
    """The group behind an invite code or link, without joining."""
    return describe(await ask(device, lambda library: library.get_group_info_from_link(code)))


@verb("groups.join")
async def join(device: Device, *, code: str) -> str:
    """The JID of the group, also for who is in it already; in a group that approves its members
    this is a request to join."""
    try:
        return to_text(await _change(device, lambda library: library.join_group_with_link(code)))
    except WhatsAppRefused as error:
        if _CONFLICT not in error.detail:
            raise
    return str((await preview(device, code=code))["jid"])


@verb("groups.members")
async def change_members(
    device: Device, *, group: str, participants: list[str], action: str
) -> list[dict[str, Any]]:
    """The outcome for each; people are named to WhatsApp as the group names its members."""
    jid, change = from_text(group), MemberAction(action)
    people = [from_text(p) for p in participants]
    if change is not MemberAction.ADD:
        info = await ask(device, lambda library: library.get_group_info(jid))
        people = [_as_member(p, info) for p in people]
    outcome = await _change(
        device,
        lambda library: library.update_group_participants(jid, people, _CHANGES[change]),
    )
    return [member(one) for one in outcome]


@verb("groups.join_requests")
async def join_requests(device: Device, *, group: str) -> list[dict[str, Any]]:
    found = await ask(
        device, lambda library: library.get_group_request_participants(from_text(group))
    )
    requests = []
    for request in found:
        jid = to_text(request.Participant)
        phone = await device.by_phone(jid)
        requests.append(
            {
                "jid": jid,
                "phone": "" if phone.endswith("@lid") else phone,
                "requested_at": timestamp(request.TimeAt).timestamp(),
            }
        )
    return requests


@verb("groups.approve")
async def approve(device: Device, *, group: str, participants: list[str]) -> list[dict[str, Any]]:
    """Let in who asked to be, by adding them: the library does not pass on whatsmeow's own call.
    The outcome for each; 404 for those who did not ask."""
    asked = {request["jid"] for request in await join_requests(device, group=group)}
    phones = {await device.by_phone(jid): jid for jid in asked}
    wanted = {person: phones.get(person, person) for person in participants}
    let_in = [from_text(jid) for jid in wanted.values() if jid in asked]
    outcome = [
        describe_member(jid, error=_NOT_ASKED) for jid in wanted.values() if jid not in asked
    ]
    if let_in:
        outcome += [
            member(one)
            for one in await _change(
                device,
                lambda library: library.update_group_participants(
                    from_text(group), let_in, ParticipantChange.ADD
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


def describe_member(jid: str, *, error: int) -> dict[str, Any]:
    """Somebody for whom an action failed before WhatsApp was asked."""
    return {"jid": jid, "error": error}


def describe(info: LibraryGroup) -> dict[str, Any]:
    """The fields of `cluster.domain.group.Group`; times in Unix seconds, 0 for none."""
    ephemeral = info.GroupEphemeral
    return {
        "jid": to_text(info.JID),
        "subject": info.GroupName.Name,
        "subject_by": to_text(info.GroupName.NameSetBy),
        "subject_at": _time(info.GroupName.NameSetAt),
        "description": info.GroupTopic.Topic,
        "description_id": info.GroupTopic.TopicID,
        "description_by": to_text(info.GroupTopic.TopicSetBy),
        "description_at": _time(info.GroupTopic.TopicSetAt),
        "owner": to_text(info.OwnerJID),
        "owner_phone": to_text(info.OwnerPN),
        "created_at": _created_at(info),
        "locked": info.GroupLocked.isLocked,
        "announce": info.GroupAnnounce.IsAnnounce,
        "ephemeral_seconds": ephemeral.DisappearingTimer if ephemeral.IsEphemeral else 0,
        "incognito": info.GroupIncognito.IsIncognito,
        "parent": info.GroupParent.IsParent,
        "linked_parent": to_text(info.GroupLinkedParent.LinkedParentJID),
        "default_subgroup": info.GroupIsDefaultSub.IsDefaultSubGroup,
        "participant_version": info.ParticipantVersionID,
        "members": [member(one) for one in info.Participants],
    }


def member(one: LibraryMember) -> dict[str, Any]:
    """The fields of `cluster.domain.group.GroupMember`."""
    role = GroupRole.PARTICIPANT
    if one.IsSuperAdmin:
        role = GroupRole.SUPERADMIN
    elif one.IsAdmin:
        role = GroupRole.ADMIN
    return {
        "jid": to_text(one.JID),
        "lid": to_text(one.LID),
        "phone": to_text(one.PhoneNumber),
        "role": role.value,
        "display_name": one.DisplayName,
        "error": one.Error,
        "invite_code": one.AddRequest.Code,
        "invite_expires": one.AddRequest.Expiration,
    }


def _as_member(person: JID, info: LibraryGroup) -> JID:
    text = to_text(person)
    for one in info.Participants:
        if text in (to_text(one.JID), to_text(one.LID), to_text(one.PhoneNumber)):
            return one.JID
    return person


def _created_at(info: LibraryGroup) -> float:
    """neonize 0.5.2 has it as a float of 32 bits, in steps of two minutes. Older ids end with it;
    a group whose name is as old as itself was named when it was made."""
    digits = info.JID.User.partition("-")[2]
    if digits.isdecimal() and len(digits) == _SECONDS_DIGITS:
        return int(digits)
    rounded, named = _time(info.GroupCreated), _time(info.GroupName.NameSetAt)
    return named if abs(named - rounded) <= _CREATED_STEP else rounded


def _time(value: float) -> float:
    # Go's zero time is the year 1.
    return max(0.0, float(value))
