"""The account's own name, about text and picture."""

from __future__ import annotations

from api.file_route import FORM, FileRoute
from api.models.files import attachment
from api.models.pictures import PictureRequest
from api.models.profile import MyProfile, ProfileNameRequest, ProfileStatusRequest
from api.models.results import Result
from api.params import SessionPath
from api.problems import responses
from api.router import Router
from cluster.domain.errors import (
    BodyTooLarge,
    Invalid,
    SessionNotFound,
    SessionNotWorking,
    Unauthorized,
    Unavailable,
    WhatsAppRefused,
)

__all__ = ["router"]

router = Router(
    prefix="/api/{session}/profile",
    tags=["🆔 Profile"],
    route_class=FileRoute,
    responses=responses(
        Invalid,
        SessionNotWorking,
        SessionNotFound,
        Unauthorized,
        Unavailable,
        WhatsAppRefused,
        BodyTooLarge,
    ),
)


@router.get("", operation_id="ProfileController_getMyProfile", summary="Get my profile")
async def get(session: SessionPath) -> MyProfile:
    return MyProfile.of(await session.profile.get())


@router.put("/name", operation_id="ProfileController_setProfileName", summary="Set my profile name")
async def set_name(session: SessionPath, request: ProfileNameRequest) -> Result:
    await session.profile.set_name(request.name)
    return Result()


@router.put(
    "/status",
    operation_id="ProfileController_setProfileStatus",
    summary="Set profile status (About)",
)
async def set_status(session: SessionPath, request: ProfileStatusRequest) -> Result:
    await session.profile.set_about(request.status)
    return Result()


@router.put(
    "/picture",
    openapi_extra=FORM,
    operation_id="ProfileController_setProfilePicture",
    summary="Set profile picture",
    description="Any common image format; it is cropped to a square.",
)
async def set_picture(session: SessionPath, request: PictureRequest) -> Result:
    await session.profile.set_picture(attachment(request.file))
    return Result()


@router.delete(
    "/picture",
    operation_id="ProfileController_deleteProfilePicture",
    summary="Delete profile picture",
)
async def delete_picture(session: SessionPath) -> Result:
    await session.profile.delete_picture()
    return Result()
