"""Chats: the list, the history, and what is done to messages in it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from fastapi import Depends, Path, Query, Response

from api.files import FilesUrl
from api.models.chats import (
    ChatInfo,
    ChatPicture,
    ChatSummary,
    EditMessageRequest,
    OverviewBody,
    PinMessageRequest,
    ReadMessages,
)
from api.models.chatting import Result
from api.models.messages import WAMessage
from api.models.results import Result as Done
from api.paging import Merge, at_most
from api.params import AnyChatPath, SessionPath
from api.problems import responses
from api.references import reference
from api.router import Router
from api.routers.history_page import PAGED, Media, Page, SortOrder, history
from api.strict_json import StrictJsonRoute
from client.session import SessionClient
from cluster.domain.chat import ChatOrder
from cluster.domain.chat_id import ChatId, parse_chat_id
from cluster.domain.errors import (
    Invalid,
    NotFound,
    SessionNotFound,
    SessionNotWorking,
    Unauthorized,
    Unavailable,
    WhatsAppRefused,
)
from cluster.domain.message_ref import MessageRef
from cluster.domain.waha_id import format_message_id

__all__ = ["router"]

router = Router(
    prefix="/api/{session}/chats",
    tags=["💬 Chats"],
    route_class=StrictJsonRoute,
    responses=responses(Invalid, SessionNotFound, Unauthorized, Unavailable),
)
_ASKING = responses(Invalid, SessionNotWorking, WhatsAppRefused)
_ABOUT_MESSAGE = _ASKING | responses(NotFound)
#: Messages that `…/messages/read` reads where no number is given (WAHA's default).
_READ_AT_ONCE = 30
#: How old they are at most (WAHA's default).
_READ_DAYS = 7


class ChatSort(StrEnum):
    CONVERSATION_TIMESTAMP = "conversationTimestamp"
    MESSAGE_TIMESTAMP = "messageTimestamp"
    ID = "id"
    NAME = "name"


_ORDERS: dict[ChatSort, ChatOrder] = {
    ChatSort.CONVERSATION_TIMESTAMP: "time",
    ChatSort.MESSAGE_TIMESTAMP: "time",
    ChatSort.ID: "id",
    ChatSort.NAME: "name",
}


async def _chat(
    chat_id: Annotated[
        str,
        Path(
            alias="chatId",
            description="Chat ID: `…@c.us`, `…@lid`, `…@g.us`, `…@newsletter`, a plain number",
            openapi_examples={"person": {"value": "11111111111@c.us"}},
        ),
    ],
) -> ChatId:
    return parse_chat_id(chat_id)


ChatPath = Annotated[ChatId, Depends(_chat)]


async def _message(
    chat: ChatPath,
    message_id: Annotated[
        str,
        Path(
            alias="messageId",
            max_length=256,
            description="`{fromMe}_{chatId}_{id}[_{participant}]`, or the bare id",
            openapi_examples={"it": {"value": "true_11111111111@c.us_3EB0AAAAAAAAAAAAAAAAAA"}},
        ),
    ],
) -> MessageRef:
    return reference(message_id, "messageId", chat=chat.jid)


MessagePath = Annotated[MessageRef, Depends(_message)]


@router.get(
    "",
    operation_id="ChatsController_getChats",
    summary="Get chats",
    description="From the gateway's own history, also while the session is stopped.",
)
async def get_chats(
    session: SessionPath,
    sort_by: Annotated[ChatSort, Query(alias="sortBy")] = ChatSort.CONVERSATION_TIMESTAMP,
    sort_order: Annotated[SortOrder, Query(alias="sortOrder")] = SortOrder.DESC,
    limit: Annotated[int, Query(ge=0), at_most(1000)] = 1000,
    offset: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    merge: Merge = True,
) -> list[ChatInfo]:
    found = await session.chats.list(
        limit=limit,
        offset=offset,
        order=_ORDERS[sort_by],
        ascending=sort_order is SortOrder.ASC,
    )
    return [ChatInfo.of(chat) for chat in found]


@router.get(
    "/overview",
    operation_id="ChatsController_getChatsOverview",
    summary="Get chats overview: name and last message of each, the latest first",
)
async def get_chats_overview(
    session: SessionPath,
    files: FilesUrl,
    limit: Annotated[int, Query(ge=0), at_most(1000)] = 20,
    offset: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    ids: Annotated[list[str] | None, Query(max_length=1000)] = None,
    merge: Merge = True,
) -> list[ChatSummary]:
    return await _overview(session, files(session.name), ids or [], limit, offset)


@router.post(
    "/overview",
    operation_id="ChatsController_postChatsOverview",
    summary="Get chats overview, with the ids in the body when there are too many for a URL",
    status_code=201,
)
async def post_chats_overview(
    session: SessionPath, files: FilesUrl, body: OverviewBody
) -> list[ChatSummary]:
    ids = (body.filter.ids if body.filter else None) or []
    page = body.pagination
    return await _overview(session, files(session.name), ids, page.limit, page.offset)


@router.delete(
    "/{chatId}",
    operation_id="ChatsController_deleteChat",
    summary="Deletes the chat",
    responses=_ASKING,
)
async def delete_chat(session: SessionPath, chat: ChatPath) -> Result:
    await session.chats.delete(chat.jid)
    return Result()


@router.get(
    "/{chatId}/picture",
    operation_id="ChatsController_getChatPicture",
    summary="Gets chat picture",
    responses=_ASKING,
)
async def get_chat_picture(
    session: SessionPath,
    chat: ChatPath,
    refresh: Annotated[bool, Query(description="WhatsApp is asked every time.")] = False,
) -> ChatPicture:
    return ChatPicture(url=await session.chats.picture(chat.jid) or None)


@router.get(
    "/{chatId}/messages",
    operation_id="ChatsController_getChatMessages",
    summary="Gets messages in the chat",
    description="Newest first unless `sortOrder=asc`. Served from the gateway's own history, also "
    "while the session is stopped.",
    responses=PAGED,
)
async def get_chat_messages(
    session: SessionPath,
    chat: AnyChatPath,
    page: Page,
    media: Media,
    files: FilesUrl,
    response: Response,
) -> list[WAMessage]:
    found = await history(session, chat, page, files=files(session.name), response=response)
    return media.of(found)


@router.delete(
    "/{chatId}/messages",
    operation_id="ChatsController_clearMessages",
    summary="Clears all messages from the chat",
    responses=_ASKING,
)
async def clear_messages(session: SessionPath, chat: ChatPath) -> Result:
    await session.chats.clear(chat.jid)
    return Result()


@router.post(
    "/{chatId}/messages/read",
    operation_id="ChatsController_readChatMessages",
    summary="Read unread messages in the chat",
    status_code=201,
    responses=_ASKING,
)
async def read_chat_messages(
    session: SessionPath,
    chat: ChatPath,
    messages: Annotated[
        int, Query(ge=0, le=500, description="How many of the newest unread ones; 0: 30.")
    ] = _READ_AT_ONCE,
    days: Annotated[
        int, Query(ge=0, le=3650, description="No older than this; 0: of any age.")
    ] = _READ_DAYS,
) -> ReadMessages:
    done = await session.chatting.seen(
        chat.jid, newest=messages or _READ_AT_ONCE, days=days or None
    )
    return ReadMessages(
        ids=[
            format_message_id(one.chat, one.message_id, from_me=False, participant=one.sender)
            for one in done
        ]
    )


@router.get(
    "/{chatId}/messages/{messageId}",
    operation_id="ChatsController_getChatMessage",
    summary="Gets message by id",
    responses=responses(NotFound),
)
async def get_chat_message(
    session: SessionPath,
    message: MessagePath,
    media: Media,
    files: FilesUrl,
    merge: Merge = True,
) -> WAMessage:
    me = await session.me()
    found = await session.chats.message(message)
    return media.of([WAMessage.of_history(found, me, files=files(session.name))])[0]


@router.delete(
    "/{chatId}/messages/{messageId}",
    operation_id="ChatsController_deleteMessage",
    summary="Deletes a message from the chat, for everyone",
    responses=_ABOUT_MESSAGE,
)
async def delete_message(session: SessionPath, chat: ChatPath, message: MessagePath) -> Result:
    await session.chatting.revoke(chat.jid, message)
    return Result()


@router.put(
    "/{chatId}/messages/{messageId}",
    operation_id="ChatsController_editMessage",
    summary="Edits a message in the chat",
    responses=_ABOUT_MESSAGE,
)
async def edit_message(
    session: SessionPath,
    chat: ChatPath,
    message: MessagePath,
    body: EditMessageRequest,
    files: FilesUrl,
) -> WAMessage:
    me = await session.me()
    sent = await session.chatting.edit(
        chat.jid,
        message,
        body.text,
        mentions=body.mentions or (),
        link_preview=body.linkPreview is not False,
        link_preview_high_quality=bool(body.linkPreviewHighQuality),
    )
    return WAMessage.of_send(sent, me, files=files(session.name))


@router.post(
    "/{chatId}/messages/{messageId}/pin",
    operation_id="ChatsController_pinMessage",
    summary="Pins a message in the chat",
    status_code=201,
    responses=_ABOUT_MESSAGE,
)
async def pin_message(
    session: SessionPath, chat: ChatPath, message: MessagePath, body: PinMessageRequest
) -> Done:
    await session.chatting.pin(chat.jid, message, body.duration)
    return Done()


@router.post(
    "/{chatId}/messages/{messageId}/unpin",
    operation_id="ChatsController_unpinMessage",
    summary="Unpins a message in the chat",
    status_code=201,
    responses=_ABOUT_MESSAGE,
)
async def unpin_message(session: SessionPath, chat: ChatPath, message: MessagePath) -> Done:
    await session.chatting.pin(chat.jid, message, 0)
    return Done()


@router.post(
    "/{chatId}/archive",
    operation_id="ChatsController_archiveChat",
    summary="Archive the chat",
    status_code=201,
    responses=_ASKING,
)
async def archive_chat(session: SessionPath, chat: ChatPath) -> Result:
    await session.chats.archive(chat.jid, True)
    return Result()


@router.post(
    "/{chatId}/unarchive",
    operation_id="ChatsController_unarchiveChat",
    summary="Unarchive the chat",
    status_code=201,
    responses=_ASKING,
)
async def unarchive_chat(session: SessionPath, chat: ChatPath) -> Result:
    await session.chats.archive(chat.jid, False)
    return Result()


@router.post(
    "/{chatId}/unread",
    operation_id="ChatsController_unreadChat",
    summary="Mark the chat as unread",
    status_code=201,
    responses=_ASKING,
)
async def unread_chat(session: SessionPath, chat: ChatPath) -> Result:
    await session.chats.mark_read(chat.jid, False)
    return Result()


async def _overview(
    session: SessionClient, files: str, ids: list[str], limit: int, offset: int
) -> list[ChatSummary]:
    me = await session.me()
    found = await session.chats.list(ids=ids, limit=limit, offset=offset)
    return [ChatSummary.of(chat, me, files) for chat in found]
