"""Who may do what in a group."""

from __future__ import annotations

from api.file_route import FileRoute
from api.models.groups import (
    SettingsMemberAddMode,
    SettingsMemberShareHistoryMode,
    SettingsMembershipApproval,
    SettingsSecurityChangeInfo,
)
from api.params import SessionPath
from api.router import Router
from api.routers.groups.params import CANNOT, GroupPath, not_in_library

__all__ = ["router"]

router = Router(prefix="/api/{session}/groups", route_class=FileRoute)


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
    responses=CANNOT,
)
async def set_member_add_mode(
    session: SessionPath, group_id: GroupPath, request: SettingsMemberAddMode
) -> bool:
    raise not_in_library("who may add members")


@router.get(
    "/{id}/settings/security/member-add-mode",
    operation_id="GroupsController_getMemberAddMode",
    summary="Get settings - who can add new members",
    responses=CANNOT,
)
async def get_member_add_mode(session: SessionPath, group_id: GroupPath) -> SettingsMemberAddMode:
    raise not_in_library("who may add members")


@router.put(
    "/{id}/settings/security/member-share-history-mode",
    operation_id="GroupsController_setMemberShareHistoryMode",
    summary="Update settings - members can send message history to new members",
    responses=CANNOT,
)
async def set_member_share_history_mode(
    session: SessionPath, group_id: GroupPath, request: SettingsMemberShareHistoryMode
) -> bool:
    raise not_in_library("who may share history")


@router.get(
    "/{id}/settings/security/member-share-history-mode",
    operation_id="GroupsController_getMemberShareHistoryMode",
    summary="Get settings - members can send message history to new members",
    responses=CANNOT,
)
async def get_member_share_history_mode(
    session: SessionPath, group_id: GroupPath
) -> SettingsMemberShareHistoryMode:
    raise not_in_library("who may share history")


@router.put(
    "/{id}/settings/security/membership-approval",
    operation_id="GroupsController_setMembershipApprovalMode",
    summary="Update settings - approve new members",
    responses=CANNOT,
)
async def set_membership_approval(
    session: SessionPath, group_id: GroupPath, request: SettingsMembershipApproval
) -> bool:
    raise not_in_library("the approval of members")


@router.get(
    "/{id}/settings/security/membership-approval",
    operation_id="GroupsController_getMembershipApprovalMode",
    summary="Get settings - approve new members",
    responses=CANNOT,
)
async def get_membership_approval(
    session: SessionPath, group_id: GroupPath
) -> SettingsMembershipApproval:
    raise not_in_library("the approval of members")
