"""Stories."""

from __future__ import annotations

from typing import Any

from api.file_route import FORM, FileRoute
from api.files import FilesUrl
from api.models.chatting import NewMessageId
from api.models.files import FileBody, attachment
from api.models.messages import WAMessage
from api.models.status import DeleteStatus, FileStatus, TextStatus, VideoStatus, VoiceStatus
from api.params import SessionPath
from api.problems import responses
from api.references import reference
from api.router import Router
from api.routers.chatting import IdempotencyKey
from client.session import SessionClient
from client.status import STATUS
from cluster.domain.content import FileKind
from cluster.domain.errors import (
    BodyTooLarge,
    Invalid,
    NotSupported,
    SessionNotFound,
    SessionNotWorking,
    Unauthorized,
    Unavailable,
    WhatsAppRefused,
)

__all__ = ["router"]

router = Router(
    prefix="/api/{session}/status",
    tags=["🟢 Status"],
    route_class=FileRoute,
    responses=responses(
        Invalid,
        SessionNotWorking,
        SessionNotFound,
        Unauthorized,
        Unavailable,
        WhatsAppRefused,
        NotSupported,
    ),
)
_WITH_FILE: dict[str, Any] = {"status_code": 201, "responses": responses(BodyTooLarge)}


@router.post(
    "/text",
    operation_id="StatusController_sendTextStatus",
    summary="Send text status",
    status_code=201,
)
async def send_text_status(
    session: SessionPath,
    body: TextStatus,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    _nobody_chosen(body.contacts)
    me = await session.me()
    sent = await session.status.send_text(
        body.text,
        background=_argb(body.backgroundColor),
        font=body.font,
        link_preview=body.linkPreview is not False,
        link_preview_high_quality=bool(body.linkPreviewHighQuality),
        idempotency_key=idempotency_key,
        message_id=body.id,
    )
    return WAMessage.of_send(sent, me, files=files(session.name))


@router.post(
    "/image",
    openapi_extra=FORM,
    operation_id="StatusController_sendImageStatus",
    summary="Send image status",
    **_WITH_FILE,
)
async def send_image_status(
    session: SessionPath,
    body: FileStatus,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    return await _send(
        session,
        files(session.name),
        "image",
        body.file,
        body.contacts,
        caption=body.caption or "",
        idempotency_key=idempotency_key,
        message_id=body.id,
    )


@router.post(
    "/voice",
    openapi_extra=FORM,
    operation_id="StatusController_sendVoiceStatus",
    summary="Send voice status",
    **_WITH_FILE,
)
async def send_voice_status(
    session: SessionPath,
    body: VoiceStatus,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    return await _send(
        session,
        files(session.name),
        "audio",
        body.file,
        body.contacts,
        convert=body.convert,
        extra={"voice": True, "background": _argb(body.backgroundColor)},
        idempotency_key=idempotency_key,
        message_id=body.id,
    )


@router.post(
    "/video",
    openapi_extra=FORM,
    operation_id="StatusController_sendVideoStatus",
    summary="Send video status",
    **_WITH_FILE,
)
async def send_video_status(
    session: SessionPath,
    body: VideoStatus,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    return await _send(
        session,
        files(session.name),
        "video",
        body.file,
        body.contacts,
        caption=body.caption or "",
        convert=body.convert,
        idempotency_key=idempotency_key,
        message_id=body.id,
    )


@router.post(
    "/delete",
    operation_id="StatusController_deleteStatus",
    summary="DELETE sent status",
    status_code=201,
)
async def delete_status(session: SessionPath, body: DeleteStatus, files: FilesUrl) -> WAMessage:
    _nobody_chosen(body.contacts)
    me = await session.me()
    sent = await session.status.delete(reference(body.id, "id").message_id)
    return WAMessage.of_send(sent, me, files=files(session.name))


@router.get(
    "/new-message-id",
    operation_id="StatusController_getNewMessageId",
    summary="Generate message ID you can use to batch contacts",
)
async def get_new_message_id(session: SessionPath) -> NewMessageId:
    return NewMessageId(id=await session.chatting.new_message_id())


async def _send(
    session: SessionClient,
    files: str,
    kind: FileKind,
    file: FileBody,
    contacts: list[str] | None,
    **options: Any,
) -> WAMessage:
    _nobody_chosen(contacts)
    me = await session.me()
    sent = await session.media.send(STATUS, kind, attachment(file), **options)
    return WAMessage.of_send(sent, me, files=files)


def _nobody_chosen(contacts: list[str] | None) -> None:
    if contacts:
        raise NotSupported(
            "the library sends a status to whom the account's privacy settings say; leave out "
            "contacts",
            field="contacts",
        )


def _argb(color: str) -> int:
    """`#rrggbb`, opaque."""
    return 0xFF000000 | int(color[1:], 16)
