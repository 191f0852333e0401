"""Texts, answers, link previews, and what is forwarded."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from api.file_route import FileRoute
from api.files import FilesUrl
from api.models import chatting as bodies
from api.models.files import given as given_file
from api.models.messages import WAMessage
from api.params import GatewayDep
from api.problems import responses
from api.references import optional_reference, reference
from api.router import Router
from api.routers.chatting.sending import (
    DURABLE,
    SENDING,
    IdempotencyKey,
    Sender,
    SessionQuery,
)
from cluster.domain.errors import (
    Invalid,
    NotFound,
)

__all__ = ["router"]

router = Router(prefix="/api", route_class=FileRoute)


@router.post(
    "/sendText",
    operation_id="ChattingController_sendText",
    summary="Send a text message",
    description=DURABLE,
    **SENDING,
)
async def send_text(
    gateway: GatewayDep,
    request: bodies.MessageTextRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    reply_to = optional_reference(request.reply_to)
    sender = await Sender.of_text(gateway, request.session, files)
    return sender.answer(
        await sender.session.send_text(
            request.chatId,
            request.text,
            reply_to=reply_to,
            mentions=request.mentions or (),
            link_preview=request.linkPreview is not False,
            link_preview_high_quality=bool(request.linkPreviewHighQuality),
            idempotency_key=idempotency_key,
            message_id=request.id,
        )
    )


@router.get(
    "/sendText",
    operation_id="ChattingController_sendTextGet",
    summary="Send a text message",
    description="DEPRECATED by WAHA: it changes something and must not be cached or prefetched.",
    deprecated=True,
    responses=SENDING["responses"],
)
async def send_text_get(
    gateway: GatewayDep,
    files: FilesUrl,
    phone: Annotated[str, Query(max_length=128, examples=["11111111111@c.us"])],
    text: Annotated[bodies.MessageText, Query(examples=["Hi there!"])],
    session: SessionQuery = "default",
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    request = bodies.MessageTextRequest(session=session, chatId=phone, text=text)
    return await send_text(gateway, request, files, idempotency_key)


@router.post(
    "/reply",
    operation_id="ChattingController_reply",
    summary="Reply to a message",
    description="DEPRECATED by WAHA: `reply_to` of the other requests does it.",
    deprecated=True,
    **SENDING,
)
async def reply(
    gateway: GatewayDep,
    request: bodies.MessageTextRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    if not request.reply_to:
        raise Invalid("reply_to is needed", field="reply_to")
    return await send_text(gateway, request, files, idempotency_key)


@router.post(
    "/send/link-custom-preview",
    operation_id="ChattingController_sendLinkCustomPreview",
    summary="Send a text message with a CUSTOM link preview.",
    description=DURABLE,
    **SENDING,
)
async def send_link_custom_preview(
    gateway: GatewayDep,
    request: bodies.LinkCustomPreviewRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    given = request.preview
    if given.url not in request.text:
        raise Invalid("text must hold the preview's url", field="text")
    image = None
    if given.image is not None and (given.image.url or given.image.data):
        image = given_file(given.image.url, given.image.data)
    sender = await Sender.of(gateway, request.session, files)
    return sender.answer(
        await sender.session.send_text(
            request.chatId,
            request.text,
            reply_to=optional_reference(request.reply_to),
            link_preview_high_quality=request.linkPreviewHighQuality is not False,
            preview={
                "url": given.url,
                "title": given.title,
                "description": given.description,
                "image": image,
            },
            idempotency_key=idempotency_key,
            message_id=request.id,
        )
    )


@router.post(
    "/sendLinkPreview",
    operation_id="ChattingController_sendLinkPreview_DEPRECATED",
    summary="Send a link with a title",
    description="DEPRECATED by WAHA: `linkPreview` of `sendText` does it.",
    deprecated=True,
    **SENDING,
)
async def send_link_preview(
    gateway: GatewayDep,
    request: bodies.LinkPreviewRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    sender = await Sender.of(gateway, request.session, files)
    return sender.answer(
        await sender.session.send_text(
            request.chatId,
            f"{request.title}\n{request.url}",
            reply_to=optional_reference(request.reply_to),
            preview={"url": request.url, "title": request.title, "description": ""},
            idempotency_key=idempotency_key,
            message_id=request.id,
        )
    )


@router.post(
    "/forwardMessage",
    operation_id="ChattingController_forwardMessage",
    summary="Forward a message",
    description=DURABLE,
    status_code=201,
    responses=SENDING["responses"] | responses(NotFound),
)
async def forward_message(
    gateway: GatewayDep,
    request: bodies.ForwardRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    message = reference(request.messageId, "messageId")
    sender = await Sender.of(gateway, request.session, files)
    return sender.answer(
        await sender.session.chatting.forward(
            request.chatId, message, idempotency_key=idempotency_key, message_id=request.id
        )
    )
