"""Channels: looking, creating, following, muting, reading."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query, Response

from api.file_route import FORM, FileRoute
from api.models.channels import (
    ChannelAnswer,
    ChannelMessageAnswer,
    ChannelRole,
    CreateChannelRequest,
    SearchByText,
    SearchByView,
)
from api.models.files import attachment
from api.paging import at_most
from api.params import SessionPath
from api.problems import responses
from api.router import Router
from api.routers.history_page import Media
from cluster.domain.errors import (
    BodyTooLarge,
    Invalid,
    NotFound,
    NotSupported,
    SessionNotFound,
    SessionNotWorking,
    Unauthorized,
    Unavailable,
    WhatsAppRefused,
)

__all__ = ["router"]

router = Router(
    prefix="/api/{session}/channels",
    tags=["📢 Channels"],
    route_class=FileRoute,
    responses=responses(
        Invalid,
        SessionNotWorking,
        SessionNotFound,
        NotFound,
        Unauthorized,
        Unavailable,
        WhatsAppRefused,
        BodyTooLarge,
    ),
)

_CANNOT = responses(NotSupported)
_Id = Annotated[
    str,
    Path(
        alias="id",
        max_length=256,
        description="WhatsApp Channel ID",
        openapi_examples={"it": {"value": "123123123123@newsletter"}},
    ),
]
_IdOrCode = Annotated[
    str,
    Path(
        alias="id",
        max_length=256,
        description="WhatsApp Channel ID or invite code",
        openapi_examples={
            "id": {"value": "123123123123@newsletter"},
            "code": {"value": "0029Va4K0PZ5a245NkngBA2M"},
        },
    ),
]


@router.get("", operation_id="ChannelsController_list", summary="Get list of know channels")
async def list_channels(
    session: SessionPath, role: Annotated[ChannelRole | None, Query()] = None
) -> list[ChannelAnswer]:
    found = [ChannelAnswer.of(one) for one in await session.channels.list()]
    return [one for one in found if role in (None, one.role)]


@router.post(
    "",
    openapi_extra=FORM,
    operation_id="ChannelsController_create",
    summary="Create a new channel.",
    status_code=201,
)
async def create(session: SessionPath, request: CreateChannelRequest) -> ChannelAnswer:
    picture = attachment(request.picture) if request.picture else None
    channel = await session.channels.create(request.name, request.description or "", picture)
    return ChannelAnswer.of(channel)


@router.post(
    "/search/by-view",
    operation_id="ChannelsController_searchByView",
    summary="Search for channels (by view)",
    status_code=201,
    responses=_CANNOT,
)
async def search_by_view(session: SessionPath, request: SearchByView) -> Response:
    raise _no_search()


@router.post(
    "/search/by-text",
    operation_id="ChannelsController_searchByText",
    summary="Search for channels (by text)",
    status_code=201,
    responses=_CANNOT,
)
async def search_by_text(session: SessionPath, request: SearchByText) -> Response:
    raise _no_search()


@router.get(
    "/search/views",
    operation_id="ChannelsController_getSearchViews",
    summary="Get list of views for channel search",
    responses=_CANNOT,
)
async def search_views(session: SessionPath) -> Response:
    raise _no_search()


@router.get(
    "/search/countries",
    operation_id="ChannelsController_getSearchCountries",
    summary="Get list of countries for channel search",
    responses=_CANNOT,
)
async def search_countries(session: SessionPath) -> Response:
    raise _no_search()


@router.get(
    "/search/categories",
    operation_id="ChannelsController_getSearchCategories",
    summary="Get list of categories for channel search",
    responses=_CANNOT,
)
async def search_categories(session: SessionPath) -> Response:
    raise _no_search()


@router.get(
    "/{id}",
    operation_id="ChannelsController_get",
    summary="Get the channel info",
    description="By id (123@newsletter) or invite code (the end of its link).",
)
async def get(session: SessionPath, channel_id: _IdOrCode) -> ChannelAnswer:
    return ChannelAnswer.of(await session.channels.get(channel_id))


@router.delete(
    "/{id}",
    operation_id="ChannelsController_delete",
    summary="Delete the channel.",
    responses=_CANNOT,
)
async def delete(session: SessionPath, channel_id: _Id) -> Response:
    raise NotSupported("the library cannot delete channels: the owner's phone can")


@router.get(
    "/{id}/messages/preview",
    operation_id="ChannelsController_previewChannelMessages",
    summary="Preview channel messages",
    description="The library gives neither ids nor times of them: `id` holds the number that the "
    "message has in the channel, `timestamp` is 0.",
)
async def preview_messages(
    session: SessionPath,
    channel_id: _IdOrCode,
    media: Media,
    limit: Annotated[int, Query(ge=0), at_most(100)] = 10,
) -> list[ChannelMessageAnswer]:
    jid = channel_id if "@" in channel_id else (await session.channels.get(channel_id)).jid
    me = await session.me()
    found = await session.channels.messages(jid, limit)
    answers = [ChannelMessageAnswer.of(jid, one, me) for one in found]
    shown = media.of([one.message for one in answers])
    for answer, message in zip(answers, shown, strict=True):
        answer.message = message
        if message.media is not None:
            message.media.error = {"message": "the library cannot download files of posts"}
    return answers


@router.post(
    "/{id}/follow",
    operation_id="ChannelsController_follow",
    summary="Follow the channel.",
    status_code=201,
)
async def follow(session: SessionPath, channel_id: _Id) -> Response:
    await session.channels.follow(channel_id, following=True)
    return Response(status_code=201)


@router.post(
    "/{id}/unfollow",
    operation_id="ChannelsController_unfollow",
    summary="Unfollow the channel.",
    status_code=201,
)
async def unfollow(session: SessionPath, channel_id: _Id) -> Response:
    await session.channels.follow(channel_id, following=False)
    return Response(status_code=201)


@router.post(
    "/{id}/mute",
    operation_id="ChannelsController_mute",
    summary="Mute the channel.",
    status_code=201,
)
async def mute(session: SessionPath, channel_id: _Id) -> Response:
    await session.channels.mute(channel_id, muted=True)
    return Response(status_code=201)


@router.post(
    "/{id}/unmute",
    operation_id="ChannelsController_unmute",
    summary="Unmute the channel.",
    status_code=201,
)
async def unmute(session: SessionPath, channel_id: _Id) -> Response:
    await session.channels.mute(channel_id, muted=False)
    return Response(status_code=201)


def _no_search() -> NotSupported:
    return NotSupported("the library has no query of WhatsApp's directory of channels")
