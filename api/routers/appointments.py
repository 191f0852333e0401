"""Appointments as messages: WAHA calls them events, beside the log of events of the same path."""

from __future__ import annotations

from fastapi import APIRouter

from api.files import FilesUrl
from api.models.appointments import EventMessageRequest
from api.models.messages import WAMessage
from api.params import SessionPath
from api.problems import responses
from api.references import optional_reference
from api.routers.chatting import IdempotencyKey
from api.strict_json import StrictJsonRoute
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
    prefix="/api/{session}/events",
    tags=["📅 Events"],
    route_class=StrictJsonRoute,
    responses=responses(Invalid, SessionNotFound, Unauthorized, Unavailable),
)


@router.post(
    "",
    operation_id="EventsController_sendEvent",
    summary="Send an event message",
    status_code=201,
    responses=responses(
        Invalid, SessionNotWorking, NotOnWhatsApp, BodyTooLarge, Conflict, WhatsAppRefused
    ),
)
async def send_event(
    session: SessionPath,
    body: EventMessageRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    me = await session.me()
    event = body.event
    sent = await session.chatting.send_event(
        body.chatId,
        event.name,
        starts_at=event.startTime,
        ends_at=event.endTime,
        description=event.description or "",
        place=event.location.name if event.location else "",
        guests=bool(event.extraGuestsAllowed),
        reply_to=optional_reference(body.reply_to),
        idempotency_key=idempotency_key,
    )
    return WAMessage.of_send(sent, me, files=files(session.name))
