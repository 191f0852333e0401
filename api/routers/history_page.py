"""Which part of a history is asked for, and the answer to it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from fastapi import Depends, Query, Response
from pydantic import StringConstraints

from api.models.messages import WAMessage
from api.paging import Merge, at_most
from client.session import SessionClient
from cluster.domain.chat_id import ChatId
from cluster.domain.cursor import MessageCursor
from cluster.domain.message import Ack, MessageFilter

__all__ = [
    "LAST_SECOND",
    "NEXT_CURSOR",
    "PAGED",
    "Cursor",
    "Media",
    "Page",
    "SortOrder",
    "history",
    "moment",
]

#: 31 December 9999: later ones are no dates.
LAST_SECOND = 253_402_300_799
#: Header of an answer that is not the last page.
NEXT_CURSOR = "X-Next-Cursor"
#: What OpenAPI says of such an answer.
PAGED: dict[int | str, dict[str, Any]] = {
    200: {
        "headers": {
            NEXT_CURSOR: {
                "description": "What to give as `cursor` for the next page; missing on the last.",
                "schema": {"type": "string"},
            }
        }
    }
}


class SortOrder(StrEnum):
    DESC = "desc"
    ASC = "asc"


class MessageSort(StrEnum):
    TIMESTAMP = "timestamp"
    MESSAGE_TIMESTAMP = "messageTimestamp"


async def _cursor(
    cursor: Annotated[
        str | None,
        Query(
            max_length=1000,
            description="Where the page before ended, as it said: pages that follow one another "
            "so neither repeat nor leave out a message, whatever arrives meanwhile.",
        ),
    ] = None,
) -> MessageCursor | None:
    return MessageCursor.parse(cursor) if cursor else None


Cursor = Annotated[MessageCursor | None, Depends(_cursor)]


async def _page(  # one argument per parameter of WAHA's query
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=0), at_most(1000)] = 100,
    offset: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    sort_order: Annotated[SortOrder, Query(alias="sortOrder")] = SortOrder.DESC,
    sort_by: Annotated[MessageSort, Query(alias="sortBy")] = MessageSort.TIMESTAMP,
    since: Annotated[int | None, Query(alias="filter.timestamp.gte", ge=0, le=LAST_SECOND)] = None,
    until: Annotated[int | None, Query(alias="filter.timestamp.lte", ge=0, le=LAST_SECOND)] = None,
    from_me: Annotated[bool | None, Query(alias="filter.fromMe")] = None,
    ack: Annotated[
        str | None,
        Query(alias="filter.ack", pattern=f"^({'|'.join(a.name for a in Ack)})$"),
    ] = None,
    merge: Merge = True,
) -> MessageFilter:
    return MessageFilter(
        limit=limit,
        offset=offset,
        ascending=sort_order is SortOrder.ASC,
        timestamp_gte=moment(since),
        timestamp_lte=moment(until),
        from_me=from_me,
        ack=Ack[ack] if ack else None,
        after=cursor,
    )


#: Which part of a history is asked for; its `chat` is still open.
Page = Annotated[MessageFilter, Depends(_page)]


@dataclass(frozen=True, slots=True)
class MediaChoice:
    """Which files are shown. A file is fetched from WhatsApp when its URL is asked for."""

    wanted: bool
    #: Beginnings of MIME types; none: all.
    types: tuple[str, ...]

    def of(self, messages: list[WAMessage]) -> list[WAMessage]:
        """The messages without the files that are not wanted; `hasMedia` stays."""
        return [
            one
            if one.media is None or self._takes(one.media.mimetype or "")
            else one.model_copy(update={"media": None, "mediaUrl": ""})
            for one in messages
        ]

    def _takes(self, mimetype: str) -> bool:
        return self.wanted and (not self.types or mimetype.lower().startswith(self.types))


async def _media(
    download_media: Annotated[
        bool,
        Query(
            alias="downloadMedia",
            description="`false`: messages with files have no `media`. Else each file has its "
            "URL, and is fetched from WhatsApp when that is asked for.",
        ),
    ] = True,
    types: Annotated[
        list[Annotated[str, StringConstraints(max_length=255)]] | None,
        Query(
            alias="downloadMediaMimetypes",
            max_length=64,
            description="Only files whose type begins so have `media`.",
            examples=[["image/", "application/pdf"]],
        ),
    ] = None,
) -> MediaChoice:
    named = [part.strip().lower() for one in types or () for part in one.split(",")]
    return MediaChoice(download_media, tuple(filter(None, named)))


#: Which files of the messages are shown.
Media = Annotated[MediaChoice, Depends(_media)]


async def history(
    session: SessionClient,
    chat: ChatId | None,
    wanted: MessageFilter,
    *,
    files: str,
    response: Response,
) -> list[WAMessage]:
    """A page of one chat, or of all with None. Raises `SessionNotFound`."""
    me = await session.me()
    page = await session.page(replace(wanted, chat=chat.jid if chat else None))
    if page.following:
        response.headers[NEXT_CURSOR] = str(page.following)
    return [WAMessage.of_history(message, me, files=files) for message in page.messages]


def moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
