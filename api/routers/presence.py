"""Presence: being online, and seeing whether others are."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Response

from api.models.presence import ChatPresences, PresenceState, SessionPresence
from api.params import SessionPath
from api.problems import responses
from api.router import Router
from api.strict_json import StrictJsonRoute
from cluster.domain.chat_id import parse_chat_id
from cluster.domain.errors import (
    Invalid,
    SessionNotFound,
    SessionNotWorking,
    Unauthorized,
    Unavailable,
    WhatsAppRefused,
)

__all__ = ["router"]

router = Router(
    prefix="/api/{session}/presence",
    tags=["✅ Presence"],
    route_class=StrictJsonRoute,
    responses=responses(
        Invalid, SessionNotWorking, SessionNotFound, Unauthorized, Unavailable, WhatsAppRefused
    ),
)

_Chat = Annotated[str, Path(alias="chatId", max_length=128, description="Chat ID")]
_GLOBAL = {PresenceState.ONLINE, PresenceState.OFFLINE}


@router.post(
    "",
    operation_id="PresenceController_setPresence",
    summary="Set session presence",
    status_code=201,
)
async def set_presence(session: SessionPath, request: SessionPresence) -> Response:
    wanted = request.presence
    if wanted in _GLOBAL:
        if request.chatId:
            raise Invalid(f"'{wanted}' is for all chats: leave chatId out", field="chatId")
        await session.presence.set_online(wanted is PresenceState.ONLINE)
    elif request.chatId:
        await session.presence.set_typing(
            request.chatId,
            typing=wanted is not PresenceState.PAUSED,
            recording=wanted is PresenceState.RECORDING,
        )
    else:
        raise Invalid(f"'{wanted}' needs a chatId", field="chatId")
    return Response(status_code=201)


@router.get(
    "",
    operation_id="PresenceController_getPresenceAll",
    summary="Get all subscribed presence information.",
)
async def get_all(session: SessionPath) -> list[ChatPresences]:
    found = await session.presence.list()
    return [ChatPresences.of(chat, people) for chat, people in found.items()]


@router.get(
    "/{chatId}",
    operation_id="PresenceController_getPresence",
    summary="Get the presence for the chat id. If it hasn't been subscribed - it also subscribes "
    "to it.",
    description="WhatsApp reports it only to those who are online, and only as far as the other's "
    "privacy allows.",
)
async def get(session: SessionPath, chat_id: _Chat) -> ChatPresences:
    chat = parse_chat_id(chat_id)
    return ChatPresences.of(chat.jid, await session.presence.get(chat.jid))


@router.post(
    "/{chatId}/subscribe",
    operation_id="PresenceController_subscribe",
    summary="Subscribe to presence events for the chat.",
    status_code=201,
)
async def subscribe(session: SessionPath, chat_id: _Chat) -> Response:
    await session.presence.subscribe(chat_id)
    return Response(status_code=201)
