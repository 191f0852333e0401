"""Groups: looking, creating, members, settings, invitations."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from api.file_route import FORM, FileRoute
from api.models.files import attachment
from api.models.groups import (
    CreateGroupRequest,
    DescriptionRequest,
    GroupAnswer,
    GroupJoinRequestAnswer,
    GroupJoinRequestResult,
    GroupParticipant,
    JoinGroupRequest,
    JoinGroupResponse,
    MemberAnswer,
    ParticipantsRequest,
    SettingsMemberAddMode,
    SettingsMemberShareHistoryMode,
    SettingsMembershipApproval,
    SettingsSecurityChangeInfo,
    SubjectRequest,
)
from api.models.pictures import PictureRequest
from api.models.results import Count, PictureUrl, Result
from api.paging import Paging
from api.params import SessionPath
from api.problems import responses
from cluster.domain.errors import (
    BodyTooLarge,
    Invalid,
    NotFound,
    NotPermitted,
    NotSupported,
    SessionNotFound,
    SessionNotWorking,
    Unauthorized,
    Unavailable,
    WhatsAppRefused,
)
from cluster.domain.group import MemberAction

__all__ = ["router"]

router = APIRouter(
    prefix="/api/{session}/groups",
    tags=["👥 Groups"],
    route_class=FileRoute,
    responses=responses(
        Invalid,
        SessionNotWorking,
        SessionNotFound,
        Unauthorized,
        Unavailable,
        WhatsAppRefused,
        NotFound,
        NotPermitted,
        BodyTooLarge,
    ),
)

GroupPath = Annotated[
    str,
    Path(
        alias="id",
        max_length=128,
        description="Group ID",
        openapi_examples={"it": {"value": "123123123@g.us"}},
    ),
]
_CANNOT = responses(NotSupported)


class SortField(StrEnum):
    ID = "id"
    SUBJECT = "subject"


class Excluded(StrEnum):
    PARTICIPANTS = "participants"


@router.post(
    "",
    operation_id="GroupsController_createGroup",
    summary="Create a new group.",
    status_code=201,
)
async def create(session: SessionPath, request: CreateGroupRequest) -> GroupAnswer:
    people = [one.id for one in request.participants]
    return GroupAnswer.of(await session.groups.create(request.name, people))


@router.get(
    "",
    operation_id="GroupsController_getGroups",
    summary="Get all groups.",
    response_model_exclude_none=True,
)
async def list_groups(
    session: SessionPath,
    paging: Paging,
    sort_by: Annotated[SortField, Query(alias="sortBy")] = SortField.ID,
    exclude: Annotated[
        list[Excluded] | None, Query(description="Leave out the participants.")
    ] = None,
) -> list[GroupAnswer]:
    found = await session.groups.list()
    by_subject = sort_by is SortField.SUBJECT
    page = paging.page(found, lambda group: (group.subject if by_subject else "", group.jid))
    with_participants = Excluded.PARTICIPANTS not in (exclude or ())
    return [GroupAnswer.of(group, participants=with_participants) for group in page]


@router.get(
    "/join-info",
    operation_id="GroupsController_joinInfoGroup",
    summary="Get info about the group before joining.",
)
async def join_info(
    session: SessionPath,
    code: Annotated[
        str,
        Query(
            max_length=256,
            description="Group code (123) or url (https://chat.whatsapp.com/123)",
        ),
    ],
) -> GroupAnswer:
    return GroupAnswer.of(await session.groups.preview(code))


@router.post(
    "/join",
    operation_id="GroupsController_joinGroup",
    summary="Join group via code",
    description="In a group that approves its members this asks to be let in.",
    status_code=201,
)
async def join(session: SessionPath, request: JoinGroupRequest) -> JoinGroupResponse:
    return JoinGroupResponse(id=await session.groups.join(request.code))


@router.get(
    "/count",
    operation_id="GroupsController_getGroupsCount",
    summary="Get the number of groups.",
)
async def count(session: SessionPath) -> Count:
    return Count(count=len(await session.groups.list()))


@router.post(
    "/refresh",
    operation_id="GroupsController_refreshGroups",
    summary="Refresh groups from the server.",
    description="Rarely needed: the list is asked for anew after every change of a group.",
    status_code=201,
)
async def refresh(session: SessionPath) -> Result:
    await session.groups.list(fresh=True)
    return Result()


@router.get("/{id}", operation_id="GroupsController_getGroup", summary="Get the group.")
async def get(session: SessionPath, group_id: GroupPath) -> GroupAnswer:
    return GroupAnswer.of(await session.groups.get(group_id))


@router.delete(
    "/{id}",
    operation_id="GroupsController_deleteGroup",
    summary="Delete the group.",
    responses=_CANNOT,
)
async def delete(session: SessionPath, group_id: GroupPath) -> Result:
    raise NotSupported(
        "a group cannot be deleted by a linked device: remove its members, then leave it"
    )


@router.post(
    "/{id}/leave",
    operation_id="GroupsController_leaveGroup",
    summary="Leave the group.",
    status_code=201,
)
async def leave(session: SessionPath, group_id: GroupPath) -> Response:
    await session.groups.leave(group_id)
    return Response(status_code=201)


@router.get(
    "/{id}/picture",
    operation_id="GroupsController_getChatPicture",
    summary="Get group picture",
)
async def get_picture(
    session: SessionPath,
    group_id: GroupPath,
    refresh: Annotated[
        bool, Query(description="Of no effect: WhatsApp is asked every time.")
    ] = False,
) -> PictureUrl:
    return PictureUrl(url=await session.groups.picture(group_id))


@router.put(
    "/{id}/picture",
    openapi_extra=FORM,
    operation_id="GroupsController_setPicture",
    summary="Set group picture",
    description="Any common image format; it is cropped to a square.",
)
async def set_picture(session: SessionPath, group_id: GroupPath, request: PictureRequest) -> Result:
    await session.groups.set_picture(group_id, attachment(request.file))
    return Result()


@router.delete(
    "/{id}/picture",
    operation_id="GroupsController_deletePicture",
    summary="Delete group picture",
)
async def delete_picture(session: SessionPath, group_id: GroupPath) -> Result:
    await session.groups.delete_picture(group_id)
    return Result()


@router.put(
    "/{id}/description",
    operation_id="GroupsController_setDescription",
    summary="Updates the group description.",
)
async def set_description(
    session: SessionPath, group_id: GroupPath, request: DescriptionRequest
) -> bool:
    await session.groups.set_description(group_id, request.description)
    return True


@router.put(
    "/{id}/subject",
    operation_id="GroupsController_setSubject",
    summary="Updates the group subject",
)
async def set_subject(session: SessionPath, group_id: GroupPath, request: SubjectRequest) -> bool:
    await session.groups.set_subject(group_id, request.subject)
    return True


@router.put(
    "/{id}/settings/security/info-admin-only",
    operation_id="GroupsController_setInfoAdminOnly",
    summary='Updates the group "info admin only" settings.',
    description="Only admins edit group info (title, description, photo).",
)
async def set_info_admin_only(
    session: SessionPath, group_id: GroupPath, request: SettingsSecurityChangeInfo
) -> bool:
    await session.groups.set_locked(group_id, request.adminsOnly)
    return True


@router.get(
    "/{id}/settings/security/info-admin-only",
    operation_id="GroupsController_getInfoAdminOnly",
    summary="Get the group's 'info admin only' settings.",
)
async def get_info_admin_only(
    session: SessionPath, group_id: GroupPath
) -> SettingsSecurityChangeInfo:
    return SettingsSecurityChangeInfo(adminsOnly=(await session.groups.get(group_id)).locked)


@router.put(
    "/{id}/settings/security/messages-admin-only",
    operation_id="GroupsController_setMessagesAdminOnly",
    summary="Update settings - who can send messages",
)
async def set_messages_admin_only(
    session: SessionPath, group_id: GroupPath, request: SettingsSecurityChangeInfo
) -> bool:
    await session.groups.set_announce(group_id, request.adminsOnly)
    return True


@router.get(
    "/{id}/settings/security/messages-admin-only",
    operation_id="GroupsController_getMessagesAdminOnly",
    summary="Get settings - who can send messages",
)
async def get_messages_admin_only(
    session: SessionPath, group_id: GroupPath
) -> SettingsSecurityChangeInfo:
    return SettingsSecurityChangeInfo(adminsOnly=(await session.groups.get(group_id)).announce)


@router.put(
    "/{id}/settings/security/member-add-mode",
    operation_id="GroupsController_setMemberAddMode",
    summary="Update settings - who can add new members",
    responses=_CANNOT,
)
async def set_member_add_mode(
    session: SessionPath, group_id: GroupPath, request: SettingsMemberAddMode
) -> bool:
    raise _not_in_library("who may add members")


@router.get(
    "/{id}/settings/security/member-add-mode",
    operation_id="GroupsController_getMemberAddMode",
    summary="Get settings - who can add new members",
    responses=_CANNOT,
)
async def get_member_add_mode(session: SessionPath, group_id: GroupPath) -> SettingsMemberAddMode:
    raise _not_in_library("who may add members")


@router.put(
    "/{id}/settings/security/member-share-history-mode",
    operation_id="GroupsController_setMemberShareHistoryMode",
    summary="Update settings - members can send message history to new members",
    responses=_CANNOT,
)
async def set_member_share_history_mode(
    session: SessionPath, group_id: GroupPath, request: SettingsMemberShareHistoryMode
) -> bool:
    raise _not_in_library("who may share history")


@router.get(
    "/{id}/settings/security/member-share-history-mode",
    operation_id="GroupsController_getMemberShareHistoryMode",
    summary="Get settings - members can send message history to new members",
    responses=_CANNOT,
)
async def get_member_share_history_mode(
    session: SessionPath, group_id: GroupPath
) -> SettingsMemberShareHistoryMode:
    raise _not_in_library("who may share history")


@router.put(
    "/{id}/settings/security/membership-approval",
    operation_id="GroupsController_setMembershipApprovalMode",
    summary="Update settings - approve new members",
    responses=_CANNOT,
)
async def set_membership_approval(
    session: SessionPath, group_id: GroupPath, request: SettingsMembershipApproval
) -> bool:
    raise _not_in_library("the approval of members")


@router.get(
    "/{id}/settings/security/membership-approval",
    operation_id="GroupsController_getMembershipApprovalMode",
    summary="Get settings - approve new members",
    responses=_CANNOT,
)
async def get_membership_approval(
    session: SessionPath, group_id: GroupPath
) -> SettingsMembershipApproval:
    raise _not_in_library("the approval of members")


@router.get(
    "/{id}/participants/join-requests",
    operation_id="GroupsController_getGroupJoinRequests",
    summary="Get pending requests to join the group",
)
async def join_requests(session: SessionPath, group_id: GroupPath) -> list[GroupJoinRequestAnswer]:
    found = await session.groups.join_requests(group_id)
    return [GroupJoinRequestAnswer.of(one) for one in found]


@router.post(
    "/{id}/participants/join-requests/approve",
    operation_id="GroupsController_approveGroupJoinRequests",
    summary="Approve pending requests to join the group",
    description="By adding them; `error` 404 for those who did not ask.",
    status_code=201,
)
async def approve_join_requests(
    session: SessionPath, group_id: GroupPath, request: ParticipantsRequest
) -> list[GroupJoinRequestResult]:
    outcome = await session.groups.approve(group_id, request.ids())
    return [GroupJoinRequestResult.of(one) for one in outcome]


@router.post(
    "/{id}/participants/join-requests/reject",
    operation_id="GroupsController_rejectGroupJoinRequests",
    summary="Reject pending requests to join the group",
    status_code=201,
    responses=_CANNOT,
)
async def reject_join_requests(
    session: SessionPath, group_id: GroupPath, request: ParticipantsRequest
) -> Result:
    raise _not_in_library("the approval of members")


@router.get(
    "/{id}/invite-code",
    operation_id="GroupsController_getInviteCode",
    summary="Gets the invite code for the group.",
    description="As a link: https://chat.whatsapp.com/<code>",
)
async def invite_code(session: SessionPath, group_id: GroupPath) -> str:
    return await session.groups.invite_link(group_id)


@router.post(
    "/{id}/invite-code/revoke",
    operation_id="GroupsController_revokeInviteCode",
    summary="Invalidates the current group invite code and generates a new one.",
    status_code=201,
)
async def revoke_invite_code(session: SessionPath, group_id: GroupPath) -> str:
    return await session.groups.revoke_invite_link(group_id)


@router.get(
    "/{id}/participants",
    operation_id="GroupsController_getParticipants",
    summary="Get participants",
)
async def participants(session: SessionPath, group_id: GroupPath) -> list[MemberAnswer]:
    return [MemberAnswer.of(one) for one in (await session.groups.get(group_id)).members]


@router.get(
    "/{id}/participants/v2",
    operation_id="GroupsController_getGroupParticipants",
    summary="Get group participants.",
)
async def participants_v2(session: SessionPath, group_id: GroupPath) -> list[GroupParticipant]:
    return [GroupParticipant.of(one) for one in (await session.groups.get(group_id)).members]


@router.post(
    "/{id}/participants/add",
    operation_id="GroupsController_addParticipants",
    summary="Add participants",
    description="`Error` of each tells whether it worked: 403 (may be invited only), 404, 409.",
    status_code=201,
)
async def add_participants(
    session: SessionPath, group_id: GroupPath, request: ParticipantsRequest
) -> list[MemberAnswer]:
    return await _change(session, group_id, request, MemberAction.ADD)


@router.post(
    "/{id}/participants/remove",
    operation_id="GroupsController_removeParticipants",
    summary="Remove participants",
    status_code=201,
)
async def remove_participants(
    session: SessionPath, group_id: GroupPath, request: ParticipantsRequest
) -> list[MemberAnswer]:
    return await _change(session, group_id, request, MemberAction.REMOVE)


@router.post(
    "/{id}/admin/promote",
    operation_id="GroupsController_promoteToAdmin",
    summary="Promote participants to admin users.",
    status_code=201,
)
async def promote(
    session: SessionPath, group_id: GroupPath, request: ParticipantsRequest
) -> list[MemberAnswer]:
    return await _change(session, group_id, request, MemberAction.PROMOTE)


@router.post(
    "/{id}/admin/demote",
    operation_id="GroupsController_demoteToAdmin",
    summary="Demotes participants to regular users.",
    status_code=201,
)
async def demote(
    session: SessionPath, group_id: GroupPath, request: ParticipantsRequest
) -> list[MemberAnswer]:
    return await _change(session, group_id, request, MemberAction.DEMOTE)


async def _change(
    session: SessionPath, group_id: str, request: ParticipantsRequest, action: MemberAction
) -> list[MemberAnswer]:
    outcome = await session.groups.change_members(group_id, request.ids(), action)
    return [MemberAnswer.of(one) for one in outcome]


def _not_in_library(what: str) -> NotSupported:
    return NotSupported(
        f"the library (neonize 0.5.2) passes on neither the reading nor the setting of {what}; "
        "a phone of the group's can"
    )
