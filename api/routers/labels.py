"""Labels of chats (WhatsApp Business)."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Response

from api.message_ids import waha_id
from api.models.labels import ChatOfLabel, LabelAnswer, LabelBody, SetLabelsRequest
from api.models.results import Result
from api.params import SessionPath
from api.problems import responses
from api.router import Router
from api.strict_json import StrictJsonRoute
from cluster.domain.errors import (
    Conflict,
    Invalid,
    NotFound,
    NotSupported,
    SessionNotFound,
    SessionNotWorking,
    Unauthorized,
    Unavailable,
    WhatsAppRefused,
)
from cluster.domain.label import Label

__all__ = ["router"]

router = Router(
    prefix="/api/{session}/labels",
    tags=["🏷️ Labels"],
    route_class=StrictJsonRoute,
    responses=responses(
        Invalid,
        SessionNotWorking,
        SessionNotFound,
        NotFound,
        Unauthorized,
        Unavailable,
        WhatsAppRefused,
        NotSupported,
    ),
)

_LabelPath = Annotated[str, Path(alias="labelId", pattern=r"^[0-9]{1,18}$")]
_Chat = Annotated[str, Path(alias="chatId", max_length=128, description="Chat ID")]


@router.get("", operation_id="LabelsController_getAll", summary="Get all labels")
async def get_all(session: SessionPath) -> list[LabelAnswer]:
    return [LabelAnswer.of(label) for label in await session.labels.list()]


@router.post(
    "",
    operation_id="LabelsController_create",
    summary="Create a new label",
    status_code=201,
    responses=responses(Conflict),
)
async def create(session: SessionPath, request: LabelBody) -> LabelAnswer:
    return LabelAnswer.of(await session.labels.create(request.name, request.color_number()))


@router.put("/{labelId}", operation_id="LabelsController_update", summary="Update a label")
async def update(session: SessionPath, label_id: _LabelPath, request: LabelBody) -> LabelAnswer:
    label = Label(id=label_id, name=request.name, color=request.color_number())
    return LabelAnswer.of(await session.labels.update(label))


@router.delete("/{labelId}", operation_id="LabelsController_delete", summary="Delete a label")
async def delete(session: SessionPath, label_id: _LabelPath) -> Result:
    await session.labels.delete(label_id)
    return Result()


@router.get(
    "/chats/{chatId}",
    operation_id="LabelsController_getChatLabels",
    summary="Get labels for the chat",
)
async def get_chat_labels(session: SessionPath, chat_id: _Chat) -> list[LabelAnswer]:
    return [LabelAnswer.of(label) for label in await session.labels.of_chat(chat_id)]


@router.put(
    "/chats/{chatId}",
    operation_id="LabelsController_putChatLabels",
    summary="Save labels for the chat",
)
async def put_chat_labels(
    session: SessionPath, chat_id: _Chat, request: SetLabelsRequest
) -> Response:
    await session.labels.set_of_chat(chat_id, [label.id for label in request.labels])
    return Response(status_code=200)


@router.get(
    "/{labelId}/chats",
    operation_id="LabelsController_getChatsByLabel",
    summary="Get chats by label",
)
async def get_chats_by_label(session: SessionPath, label_id: _LabelPath) -> list[ChatOfLabel]:
    return [ChatOfLabel(id=waha_id(chat)) for chat in await session.labels.chats(label_id)]
