"""Sending messages, and WAHA's older way to list them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query

from api.message_ids import parse_message_id
from api.models.chatting import MessageTextRequest
from api.models.contacts import WANumberExistResult
from api.models.messages import WAMessage
from api.params import GatewayDep, SessionName, every_chat_or
from api.problems import responses
from api.routers.chats import Page, history
from api.routers.contacts import number_status
from api.strict_json import StrictJsonRoute
from cluster.domain.chat_id import parse_chat_id
from cluster.domain.errors import (
    BodyTooLarge,
    Conflict,
    Invalid,
    NotOnWhatsApp,
    SessionNotFound,
    SessionNotWorking,
    Unauthorized,
    Unavailable,
    WhatsAppRefused,
)

__all__ = ["router"]

router = APIRouter(
    prefix="/api",
    tags=["📤 Chatting"],
    route_class=StrictJsonRoute,
    responses=responses(Invalid, SessionNotFound, Unauthorized, Unavailable),
)

_Session = Annotated[SessionName, Query(description="Session name")]


@router.post(
    "/sendText",
    operation_id="ChattingController_sendText",
    summary="Send a text message",
    description="Answers when WhatsApp has taken the message, or when it is durably accepted "
    "(`ack` 0) and will be sent. The same `Idempotency-Key`, or `id`, is the same message.",
    status_code=201,
    responses=responses(
        Invalid, SessionNotWorking, NotOnWhatsApp, BodyTooLarge, Conflict, WhatsAppRefused
    ),
)
async def send_text(
    gateway: GatewayDep,
    request: MessageTextRequest,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=255)] = None,
) -> WAMessage:
    session = gateway.session(request.session)
    chat = parse_chat_id(request.chatId)
    reply_to = (
        parse_message_id(request.reply_to, "reply_to").message_id if request.reply_to else None
    )
    mentions = [parse_chat_id(mention, "mentions").jid for mention in request.mentions or ()]
    # Before the send: nothing that can fail may stand between an accepted message and its answer.
    me = await session.me()
    sent = await session.send_text(
        chat.jid,
        request.text,
        reply_to=reply_to,
        mentions=mentions,
        link_preview=request.linkPreview is not False,
        link_preview_high_quality=bool(request.linkPreviewHighQuality),
        idempotency_key=idempotency_key,
        message_id=request.id,
    )
    return WAMessage.of_send(sent, me)


@router.get(
    "/messages",
    operation_id="ChattingController_getMessages",
    summary="Get messages in a chat",
    description="DEPRECATED by WAHA in favour of `GET /api/{session}/chats/{chatId}/messages`.",
)
async def get_messages(
    gateway: GatewayDep,
    page: Page,
    chat_id: Annotated[
        str, Query(alias="chatId", description="Chat ID, or `all`", examples=["11111111111@c.us"])
    ],
    session: _Session = "default",
) -> list[WAMessage]:
    return await history(gateway.session(session), every_chat_or(chat_id), page)


@router.get(
    "/checkNumberStatus",
    operation_id="ChattingController_DEPRECATED_checkNumberStatus",
    summary="Check number status",
    deprecated=True,
    responses=responses(Invalid, SessionNotWorking, WhatsAppRefused),
)
async def deprecated_check_number_status(
    gateway: GatewayDep,
    phone: Annotated[str, Query(max_length=64, examples=["1213213213"])],
    session: _Session = "default",
) -> WANumberExistResult:
    return await number_status(gateway.session(session), phone)
