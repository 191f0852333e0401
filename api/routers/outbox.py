"""What waits to be sent, and when it will be its turn."""

from __future__ import annotations

import math
from typing import Annotated

from fastapi import Path, Query, Response

from api.message_ids import MESSAGE_ID_PATTERN
from api.models.outbox import OutboxMessage, OutboxQueue
from api.paging import at_most
from api.params import SessionPath
from api.problems import responses
from api.router import Router
from cluster.domain.errors import Invalid, NotFound, SessionNotFound, Unauthorized, Unavailable

__all__ = ["router"]

router = Router(
    prefix="/api/{session}/outbox",
    tags=["📤 Chatting"],
    responses=responses(Invalid, SessionNotFound, Unauthorized, Unavailable),
)


@router.get("", operation_id="OutboxController_list", summary="Get the messages that wait")
async def waiting(
    session: SessionPath, limit: Annotated[int, Query(ge=0), at_most(1000)] = 100
) -> OutboxQueue:
    """Accepted messages in their order, with the sending limits that hold them back."""
    return OutboxQueue.of(await session.outbox.queue(limit))


@router.get(
    "/{messageId}",
    operation_id="OutboxController_get",
    summary="Get where a sent message stands",
    responses=responses(NotFound),
)
async def message(
    session: SessionPath,
    response: Response,
    message_id: Annotated[
        str,
        Path(alias="messageId", pattern=MESSAGE_ID_PATTERN, description="Bare id of the message"),
    ],
) -> OutboxMessage:
    """While it waits, `Retry-After` says when asking again is worth it."""
    entry = await session.outbox.entry(message_id)
    if entry.place is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(entry.place.seconds)))
    return OutboxMessage.of(entry)
