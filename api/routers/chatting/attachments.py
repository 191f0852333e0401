"""Images, files, voice notes, videos and stickers."""

from __future__ import annotations

from typing import Any

from api.file_route import FORM, FileRoute
from api.files import FilesUrl
from api.models import chatting as bodies
from api.models.files import FileBody, attachment
from api.models.messages import WAMessage
from api.params import GatewayDep
from api.references import optional_reference
from api.router import Router
from api.routers.chatting.sending import (
    FILES,
    SENDING,
    IdempotencyKey,
    Sender,
)
from cluster.domain.content import FileKind

__all__ = ["router"]

router = Router(prefix="/api", route_class=FileRoute)


@router.post(
    "/sendImage",
    openapi_extra=FORM,
    operation_id="ChattingController_sendImage",
    summary="Send an image",
    description=f"{FILES} What is neither JPEG nor PNG is sent as JPEG.",
    **SENDING,
)
async def send_image(
    gateway: GatewayDep,
    request: bodies.ImageRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    sender = await Sender.of(gateway, request.session, files)
    return await _send_file(
        sender, "image", request, request.file, idempotency_key, caption=request.caption or ""
    )


@router.post(
    "/sendFile",
    openapi_extra=FORM,
    operation_id="ChattingController_sendFile",
    summary="Send a file",
    description=FILES,
    **SENDING,
)
async def send_file(
    gateway: GatewayDep,
    request: bodies.FileRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    sender = await Sender.of(gateway, request.session, files)
    return await _send_file(
        sender, "document", request, request.file, idempotency_key, caption=request.caption or ""
    )


@router.post(
    "/sendVoice",
    openapi_extra=FORM,
    operation_id="ChattingController_sendVoice",
    summary="Send an voice message",
    description=f"{FILES} It should be OGG with Opus; `convert` makes it that.",
    **SENDING,
)
async def send_voice(
    gateway: GatewayDep,
    request: bodies.VoiceRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    sender = await Sender.of(gateway, request.session, files)
    return await _send_file(
        sender,
        "audio",
        request,
        request.file,
        idempotency_key,
        convert=request.convert,
        extra={"voice": True},
    )


@router.post(
    "/sendVideo",
    openapi_extra=FORM,
    operation_id="ChattingController_sendVideo",
    summary="Send a video",
    description=f"{FILES} It should be MP4 with H.264; `convert` makes it that.",
    **SENDING,
)
async def send_video(
    gateway: GatewayDep,
    request: bodies.VideoRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    sender = await Sender.of(gateway, request.session, files)
    return await _send_file(
        sender,
        "video",
        request,
        request.file,
        idempotency_key,
        caption=request.caption or "",
        convert=request.convert,
        extra={"as_note": True} if request.asNote else None,
    )


@router.post(
    "/sendSticker",
    openapi_extra=FORM,
    operation_id="ChattingController_sendSticker",
    summary="Send a sticker",
    description=f"{FILES} Any image becomes a WebP of 512 × 512 pixels.",
    **SENDING,
)
async def send_sticker(
    gateway: GatewayDep,
    request: bodies.StickerRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    sender = await Sender.of(gateway, request.session, files)
    return await _send_file(sender, "sticker", request, request.file, idempotency_key)


async def _send_file(
    sender: Sender,
    kind: FileKind,
    request: bodies.SendRequest,
    file: FileBody,
    idempotency_key: str | None,
    **more: Any,
) -> WAMessage:
    return sender.answer(
        await sender.session.media.send(
            request.chatId,
            kind,
            attachment(file),
            reply_to=optional_reference(request.reply_to),
            mentions=getattr(request, "mentions", None) or (),
            idempotency_key=idempotency_key,
            message_id=request.id,
            **more,
        )
    )
