"""A group's picture, description and subject."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from api.file_route import FORM, FileRoute
from api.models.files import attachment
from api.models.groups import (
    DescriptionRequest,
    SubjectRequest,
)
from api.models.pictures import PictureRequest
from api.models.results import PictureUrl, Result
from api.params import SessionPath
from api.router import Router
from api.routers.groups.params import GroupPath

__all__ = ["router"]

router = Router(prefix="/api/{session}/groups", route_class=FileRoute)


@router.get(
    "/{id}/picture",
    operation_id="GroupsController_getChatPicture",
    summary="Get group picture",
)
async def get_picture(
    session: SessionPath,
    group_id: GroupPath,
    refresh: Annotated[bool, Query(description="WhatsApp is asked every time.")] = False,
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
