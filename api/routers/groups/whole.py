"""Groups: looking, creating, joining, leaving."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from fastapi import Query, Response

from api.file_route import FileRoute
from api.models.groups import (
    CreateGroupRequest,
    GroupAnswer,
    JoinGroupRequest,
    JoinGroupResponse,
)
from api.models.results import Count, Result
from api.paging import Paging, Words, mentions
from api.params import SessionPath
from api.router import Router
from api.routers.groups.params import CANNOT, GroupPath
from cluster.domain.errors import (
    NotSupported,
)

__all__ = ["router"]

router = Router(prefix="/api/{session}/groups", route_class=FileRoute)


class GroupSortField(StrEnum):
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
    sort_by: Annotated[GroupSortField, Query(alias="sortBy")] = GroupSortField.ID,
    exclude: Annotated[
        list[Excluded] | None, Query(description="Leave out the participants.")
    ] = None,
    q: Words = None,
) -> list[GroupAnswer]:
    found = await session.groups.list()
    if q is not None:
        found = [group for group in found if mentions(q, group.subject, group.jid)]
    by_subject = sort_by is GroupSortField.SUBJECT
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
    responses=CANNOT,
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
