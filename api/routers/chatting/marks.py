"""What one does while chatting without sending a message; and the older paths of the group."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Response

from api.file_route import FileRoute
from api.files import FilesUrl
from api.models import chatting as bodies
from api.models.contacts import WANumberExistResult
from api.models.messages import WAMessage
from api.params import GatewayDep, SessionPath, every_chat_or
from api.problems import responses
from api.references import reference
from api.router import Router
from api.routers.chatting.sending import (
    ASKING,
    SENDING,
    IdempotencyKey,
    Sender,
    SessionQuery,
)
from api.routers.contacts import number_status
from api.routers.history_page import PAGED, Media, Page, history
from cluster.domain.chat_id import parse_chat_id
from cluster.domain.errors import (
    NotFound,
)

__all__ = ["router"]

router = Router(prefix="/api", route_class=FileRoute)


@router.put(
    "/reaction",
    operation_id="ChattingController_setReaction",
    summary="React to a message with an emoji",
    responses=SENDING["responses"] | responses(NotFound),
)
async def set_reaction(
    gateway: GatewayDep,
    request: bodies.ReactionRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    message = reference(request.messageId, "messageId")
    sender = await Sender.of(gateway, request.session, files)
    return sender.answer(
        await sender.session.chatting.react(
            message, request.reaction, idempotency_key=idempotency_key
        )
    )


@router.put(
    "/star",
    operation_id="ChattingController_setStar",
    summary="Star or unstar a message",
    responses=ASKING["responses"] | responses(NotFound),
)
async def set_star(gateway: GatewayDep, request: bodies.StarRequest) -> bodies.Result:
    chat = parse_chat_id(request.chatId)
    message = reference(request.messageId, "messageId", chat=chat.jid)
    await gateway.session(request.session).chatting.star(message, request.star)
    return bodies.Result()


@router.post(
    "/sendSeen",
    operation_id="ChattingController_sendSeen",
    summary="Send read receipts",
    description="For the messages named; without any for all unread ones of the chat.",
    status_code=201,
    **ASKING,
)
async def send_seen(gateway: GatewayDep, request: bodies.SeenRequest) -> bodies.Result:
    chat = parse_chat_id(request.chatId)
    named = [*(request.messageIds or ()), *([request.messageId] if request.messageId else ())]
    participant = (
        parse_chat_id(request.participant, "participant").jid if request.participant else ""
    )
    await gateway.session(request.session).chatting.seen(
        chat.jid,
        [reference(text, "messageIds", chat=chat.jid) for text in named],
        participant=participant,
    )
    return bodies.Result()


@router.post(
    "/startTyping",
    operation_id="ChattingController_startTyping",
    summary="Show as typing",
    status_code=201,
    **ASKING,
)
async def start_typing(gateway: GatewayDep, request: bodies.ChatRequest) -> bodies.Result:
    await gateway.session(request.session).chatting.typing(request.chatId, typing=True)
    return bodies.Result()


@router.post(
    "/stopTyping",
    operation_id="ChattingController_stopTyping",
    summary="Stop showing as typing",
    status_code=201,
    **ASKING,
)
async def stop_typing(gateway: GatewayDep, request: bodies.ChatRequest) -> bodies.Result:
    await gateway.session(request.session).chatting.typing(request.chatId, typing=False)
    return bodies.Result()


@router.get(
    "/messages",
    operation_id="ChattingController_getMessages",
    summary="Get messages in a chat",
    description="DEPRECATED by WAHA in favour of `GET /api/{session}/chats/{chatId}/messages`.",
    responses=PAGED,
)
async def get_messages(
    gateway: GatewayDep,
    page: Page,
    media: Media,
    files: FilesUrl,
    response: Response,
    chat_id: Annotated[
        str, Query(alias="chatId", description="Chat ID, or `all`", examples=["11111111111@c.us"])
    ],
    session: SessionQuery = "default",
) -> list[WAMessage]:
    chat = every_chat_or(chat_id)
    found = await history(
        gateway.session(session), chat, page, files=files(session), response=response
    )
    return media.of(found)


@router.get(
    "/checkNumberStatus",
    operation_id="ChattingController_DEPRECATED_checkNumberStatus",
    summary="Check number status",
    deprecated=True,
    **ASKING,
)
async def deprecated_check_number_status(
    gateway: GatewayDep,
    phone: Annotated[str, Query(max_length=64, examples=["1213213213"])],
    session: SessionQuery = "default",
) -> WANumberExistResult:
    return await number_status(gateway.session(session), phone)


@router.get(
    "/{session}/new-message-id",
    operation_id="ChattingController_getNewMessageId",
    summary="Generate a message id to send under",
)
async def get_new_message_id(session: SessionPath) -> bodies.NewMessageId:
    return bodies.NewMessageId(id=await session.chatting.new_message_id())
