"""Full-text search of the history: this gateway's own, WAHA has none."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query

from api.files import FilesUrl
from api.models.messages import FoundMessages, WAMessage
from api.paging import at_most
from api.params import SessionPath
from api.problems import responses
from api.router import Router
from api.routers.history_page import LAST_SECOND, Cursor, moment
from api.strict_json import StrictJsonRoute
from cluster.domain.chat_id import parse_chat_id
from cluster.domain.errors import Invalid, SessionNotFound, Unauthorized, Unavailable
from cluster.domain.message import MessageFilter

__all__ = ["router"]

router = Router(
    prefix="/api/{session}/messages",
    tags=["💬 Chats"],
    route_class=StrictJsonRoute,
    responses=responses(Invalid, SessionNotFound, Unauthorized, Unavailable),
)


async def _wanted(
    q: Annotated[
        str,
        Query(
            min_length=1,
            max_length=500,
            description="Words that the text or caption has all of, in any order and case; each "
            "may be the beginning of a word.",
            examples=["invoice overd"],
        ),
    ],
    cursor: Cursor = None,
    chat_id: Annotated[
        str | None,
        Query(
            alias="chatId",
            max_length=128,
            description="Only in this chat.",
            examples=["11111111111@c.us"],
        ),
    ] = None,
    since: Annotated[
        int | None,
        Query(alias="from", ge=0, le=LAST_SECOND, description="Not before this, Unix seconds."),
    ] = None,
    until: Annotated[
        int | None,
        Query(alias="to", ge=0, le=LAST_SECOND, description="Not after this, Unix seconds."),
    ] = None,
    from_me: Annotated[
        bool | None, Query(alias="fromMe", description="Only own messages, or only others'.")
    ] = None,
    limit: Annotated[int, Query(ge=0), at_most(100)] = 20,
) -> MessageFilter:
    return MessageFilter(
        chat=parse_chat_id(chat_id).jid if chat_id else None,
        limit=limit,
        from_me=from_me,
        timestamp_gte=moment(since),
        timestamp_lte=moment(until),
        words=q,
        after=cursor,
    )


@router.get(
    "/search",
    operation_id="MessagesController_search",
    summary="Search the history",
    description="Newest first. Follow `nextCursor` for the rest: pages neither repeat nor leave "
    "out a message, whatever arrives meanwhile. Reactions, edits and deleted texts are not found.",
)
async def search(
    session: SessionPath, files: FilesUrl, wanted: Annotated[MessageFilter, Depends(_wanted)]
) -> FoundMessages:
    me = await session.me()
    page = await session.page(wanted)
    return FoundMessages(
        messages=[
            WAMessage.of_history(message, me, files=files(session.name))
            for message in page.messages
        ],
        nextCursor=str(page.following) if page.following else None,
    )
