"""Contacts: whether a number has WhatsApp."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.models.contacts import WANumberExistResult
from api.params import GatewayDep, SessionName
from api.ports import SessionClient
from api.problems import responses
from api.strict_json import StrictJsonRoute
from cluster.domain.errors import (
    Invalid,
    SessionNotFound,
    SessionNotWorking,
    Unauthorized,
    Unavailable,
    WhatsAppRefused,
)

__all__ = ["number_status", "router"]

router = APIRouter(
    prefix="/api/contacts",
    tags=["👤 Contacts"],
    route_class=StrictJsonRoute,
    responses=responses(
        Invalid, SessionNotWorking, SessionNotFound, Unauthorized, Unavailable, WhatsAppRefused
    ),
)


@router.get(
    "/check-exists",
    operation_id="ContactsController_checkExists",
    summary="Check phone number is registered in WhatsApp.",
)
async def check_exists(
    gateway: GatewayDep,
    phone: Annotated[
        str,
        Query(max_length=64, description="The phone number to check", examples=["1213213213"]),
    ],
    session: Annotated[SessionName, Query(description="Session name")] = "default",
) -> WANumberExistResult:
    return await number_status(gateway.session(session), phone)


async def number_status(session: SessionClient, phone: str) -> WANumberExistResult:
    """Raises `Invalid` naming `phone`, `SessionNotWorking`."""
    found = await session.check_number(phone)
    chat_id = found.chat_id or None
    return WANumberExistResult(
        numberExists=found.exists,
        chatId=chat_id,
        pn=chat_id if chat_id and chat_id.endswith("@c.us") else None,
    )
