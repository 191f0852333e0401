"""Members of a group, requests to join it and invitations."""

from __future__ import annotations

from api.file_route import FileRoute
from api.models.groups import (
    GroupJoinRequestAnswer,
    GroupJoinRequestResult,
    GroupParticipant,
    MemberAnswer,
    ParticipantsRequest,
)
from api.models.results import Result
from api.params import SessionPath
from api.router import Router
from api.routers.groups.params import CANNOT, GroupPath, not_in_library
from cluster.domain.group import MemberAction

__all__ = ["router"]

router = Router(prefix="/api/{session}/groups", route_class=FileRoute)


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
    responses=CANNOT,
)
async def reject_join_requests(
    session: SessionPath, group_id: GroupPath, request: ParticipantsRequest
) -> Result:
    raise not_in_library("the approval of members")


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
    description="`Error` of each says whether it worked: 403 (may be invited only), 404, 409.",
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
