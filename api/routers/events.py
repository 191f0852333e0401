"""A session's events: read, followed, delivered once more."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, Header, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from api.files import FilesUrl
from api.models.events import EventsAnswer, EventsReplay, QuarantinedInfo, ReplayAnswer
from api.paging import at_most
from api.params import GatewayDep, SessionPath
from api.problems import responses
from api.router import Router
from api.strict_json import StrictJsonRoute
from cluster.domain.cursor import EventCursor
from cluster.domain.errors import (
    GatewayError,
    Invalid,
    NotFound,
    SessionNotFound,
    Unauthorized,
    Unavailable,
)

__all__ = ["Kinds", "of_all", "router"]

router = Router(
    prefix="/api/{session}/events",
    tags=["🔄 Events"],
    route_class=StrictJsonRoute,
    responses=responses(Invalid, SessionNotFound, Unauthorized, Unavailable),
)

#: Streams over all sessions.
of_all = Router(
    tags=["🔄 Events"],
    route_class=StrictJsonRoute,
    responses=responses(Invalid, Unauthorized, Unavailable),
)

#: A stream ends after so many events, or bytes (`HTTP_LIVE_BYTES`); the client goes on by itself.
#: Bounds what a proxy holds for a reader that does not read.
_MOST_STREAMED = 10_000


async def _kinds(
    events: Annotated[
        list[str] | None,
        Query(
            description="Names of events, repeated or with commas; `*` is all of WAHA's but "
            "`engine.event`. Without it: everything.",
            examples=["message,session.status"],
        ),
    ] = None,
) -> list[str]:
    return [name for part in events or () for name in part.split(",") if name]


After = Annotated[
    str,
    Query(
        max_length=28,
        description="Events behind this one: its number, or `cursor` of an answer, which is "
        "refused (409) when the database has lost what was read up to it.",
        examples=["12-7f3k9x2a"],
    ),
]
Kinds = Annotated[list[str], Depends(_kinds)]
#: What a bigint holds.
MAX_ID = 2**63 - 1
EntryId = Annotated[int, Path(alias="id", ge=1, le=MAX_ID)]


@router.get(
    "",
    operation_id="EventsController_list",
    summary="Read events",
    description="For those who cannot be called: oldest first, numbered without gaps per session. "
    "`wait` makes it a long poll.",
)
async def list_events(
    session: SessionPath,
    kinds: Kinds,
    files: FilesUrl,
    after: After = "0",
    limit: Annotated[int, Query(ge=0), at_most(1000)] = 100,
    wait: Annotated[
        float, Query(ge=0, le=30, description="Seconds to wait for an event when there is none.")
    ] = 0,
) -> EventsAnswer:
    page = await session.events.list(
        after=EventCursor.parse(after, "after"),
        limit=limit,
        types=kinds,
        wait=wait,
        base_url=files.base,
    )
    return EventsAnswer(
        events=page.events, next=page.next, cursor=str(page.cursor), newest=page.newest
    )


@router.get(
    "/stream",
    operation_id="EventsController_stream",
    summary="Follow events (server-sent events)",
    description="Each message has the event's number as `id`, its name as `event`, and its body "
    "as `data`. `Last-Event-ID` (browsers send it on their own when they connect again) or "
    "`after` resumes behind that number; without them it starts now. The key may also be given "
    "as the query parameter `x-api-key`.",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "The events"}},
)
async def stream_events(
    request: Request,
    session: SessionPath,
    kinds: Kinds,
    files: FilesUrl,
    after: After | None = None,
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID")] = None,
) -> StreamingResponse:
    start = EventCursor.parse(after, "after") if after is not None else None
    if last_event_id:
        start = EventCursor.parse(last_event_id, "Last-Event-ID")
    # Refuses before the stream begins: then it is too late for a status.
    await session.info()
    events = session.events.follow(after=start, types=kinds, base_url=files.base)
    return await _stream(request, events)


@of_all.get(
    "/api/events/stream",
    operation_id="EventsController_streamAll",
    summary="Follow events of all sessions (server-sent events)",
    description="Of every session that the caller sees, from now on: each session's in order. What "
    "happened before, or while the connection was down, is under `GET /api/{session}/events`.",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "The events"}},
)
async def stream_all(
    request: Request, gateway: GatewayDep, kinds: Kinds, files: FilesUrl
) -> StreamingResponse:
    return await _stream(request, gateway.follow_all(types=kinds, base_url=files.base))


@router.post(
    "/replay",
    operation_id="EventsController_replay",
    summary="Deliver events to a webhook once more",
    description="The range goes to the webhook in order, beside what happens meanwhile, with the "
    "header `X-Webhook-Replay`. Watch it under `GET /api/{session}/webhooks`.",
    status_code=202,
    responses=responses(NotFound),
)
async def replay_events(session: SessionPath, request: EventsReplay) -> ReplayAnswer:
    name, count = await session.events.replay(
        request.webhook,
        since=request.since,
        until=request.until,
        after_seq=request.after_seq,
        until_seq=request.until_seq,
    )
    return ReplayAnswer(replay=name, events=count)


@router.get(
    "/quarantine",
    operation_id="EventsController_quarantined",
    summary="What could not be understood",
    description="What arrived and could not be understood or recorded, newest first: kept as it "
    "came, up to 500 entries and 16 MB of a session. Each was published as `event.quarantined`.",
)
async def list_quarantined(
    session: SessionPath,
    before: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Ids below it.")] = None,
    limit: Annotated[int, Query(ge=0), at_most(500)] = 100,
) -> list[QuarantinedInfo]:
    found = await session.events.quarantined(before=before, limit=limit)
    return [QuarantinedInfo.of(one) for one in found]


@router.get(
    "/quarantine/{id}",
    operation_id="EventsController_quarantinedEntry",
    summary="One of them as it came",
    description="A byte with the library's code of it, then its protobuf; of a large one the first "
    "MiB.",
    response_class=Response,
    responses={
        **responses(NotFound),
        200: {"content": {"application/octet-stream": {}}, "description": "The entry"},
    },
)
async def get_quarantined(session: SessionPath, entry_id: EntryId) -> Response:
    entry = await session.events.quarantined_entry(entry_id)
    return Response(
        entry,
        media_type="application/octet-stream",
        headers={"Content-Disposition": "attachment"},
    )


@router.delete(
    "/quarantine/{id}",
    operation_id="EventsController_deleteQuarantined",
    summary="Forget one of them",
    status_code=204,
    responses=responses(NotFound),
)
async def delete_quarantined(session: SessionPath, entry_id: EntryId) -> None:
    await session.events.delete_quarantined(entry_id)


async def _stream(
    request: Request, events: AsyncIterator[dict[str, Any] | None]
) -> StreamingResponse:
    stream = _server_sent(events, most=request.app.state.live_bytes)
    first = await anext(stream)
    return StreamingResponse(
        _with(first, stream),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


async def _server_sent(
    events: AsyncIterator[dict[str, Any] | None], *, most: int
) -> AsyncIterator[str]:
    """`most`: bytes of one stream; one event goes through in any case."""
    count = size = 0
    quiet = "retry: 2000\n: connected\n\n"
    try:
        async for event in events:
            if event is None:
                yield quiet
                quiet = ": nothing new\n\n"
                continue
            body = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
            size += len(body)
            cursor = EventCursor.at(event["gateway"]["seq"], event["id"])
            yield f"id: {cursor}\nevent: {event['event']}\ndata: {body}\n\n"
            count += 1
            if count >= _MOST_STREAMED or size >= most:
                yield ": go on behind the last id\n\n"
                return
    except GatewayError as error:
        problem = json.dumps(error.to_payload(), ensure_ascii=False)
        yield f"event: gateway.error\ndata: {problem}\n\n"


async def _with(first: str, rest: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for part in rest:
        yield part
