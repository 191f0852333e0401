"""The history of chats."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from api.models.messages import WAMessage
from api.params import AnyChatPath, SessionPath
from api.ports import SessionClient
from api.problems import responses
from api.strict_json import StrictJsonRoute
from cluster.domain.chat_id import ChatId
from cluster.domain.errors import Invalid, SessionNotFound, Unauthorized, Unavailable
from cluster.domain.message import Ack, MessageFilter

__all__ = ["Page", "history", "router"]

router = APIRouter(
    prefix="/api/{session}/chats",
    tags=["💬 Chats"],
    route_class=StrictJsonRoute,
    responses=responses(Invalid, SessionNotFound, Unauthorized, Unavailable),
)

#: 31 December 9999: later ones are no dates.
_LAST_SECOND = 253_402_300_799


class SortOrder(StrEnum):
    DESC = "desc"
    ASC = "asc"


def _page(  # one argument per parameter of WAHA's query
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    sort_order: Annotated[SortOrder, Query(alias="sortOrder")] = SortOrder.DESC,
    since: Annotated[int | None, Query(alias="filter.timestamp.gte", ge=0, le=_LAST_SECOND)] = None,
    until: Annotated[int | None, Query(alias="filter.timestamp.lte", ge=0, le=_LAST_SECOND)] = None,
    from_me: Annotated[bool | None, Query(alias="filter.fromMe")] = None,
    ack: Annotated[
        str | None,
        Query(alias="filter.ack", pattern=f"^({'|'.join(a.name for a in Ack)})$"),
    ] = None,
    download_media: Annotated[
        bool, Query(alias="downloadMedia", description="Taken, and of no effect yet.")
    ] = False,
) -> MessageFilter:
    return MessageFilter(
        limit=limit,
        offset=offset,
        ascending=sort_order is SortOrder.ASC,
        timestamp_gte=_moment(since),
        timestamp_lte=_moment(until),
        from_me=from_me,
        ack=Ack[ack] if ack else None,
    )


#: Which part of a history is asked for; its `chat` is still open.
Page = Annotated[MessageFilter, Depends(_page)]


@router.get(
    "/{chatId}/messages",
    operation_id="ChatsController_getChatMessages",
    summary="Gets messages in the chat",
    description="Newest first unless `sortOrder=asc`. Served from the gateway's own history, also "
    "while the session is stopped.",
)
async def get_chat_messages(session: SessionPath, chat: AnyChatPath, page: Page) -> list[WAMessage]:
    return await history(session, chat, page)


async def history(
    session: SessionClient, chat: ChatId | None, page: MessageFilter
) -> list[WAMessage]:
    """A page of one chat, or of all with None. Raises `SessionNotFound`."""
    me = await session.me()
    wanted = replace(page, chat=chat.jid if chat else None)
    return [WAMessage.of_history(message, me) for message in await session.messages(wanted)]


def _moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
