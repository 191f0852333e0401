"""LIDs: which belongs to which phone number."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path

from api.models.contacts import LidToPhoneNumber
from api.models.results import Count
from api.paging import Paging
from api.params import SessionPath
from api.problems import responses
from api.router import Router
from api.strict_json import StrictJsonRoute
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
    prefix="/api/{session}/lids",
    tags=["👤 Contacts"],
    route_class=StrictJsonRoute,
    responses=responses(
        Invalid, SessionNotWorking, SessionNotFound, Unauthorized, Unavailable, WhatsAppRefused
    ),
)


@router.get(
    "",
    operation_id="LidsController_getAll",
    summary="Get all known lids to phone number mapping",
)
async def get_all(session: SessionPath, paging: Paging) -> list[LidToPhoneNumber]:
    page = paging.page(await session.lids.list(), lambda pair: pair.lid)
    return [LidToPhoneNumber.of(pair) for pair in page]


@router.get(
    "/count",
    operation_id="LidsController_getLidsCount",
    summary="Get the number of known lids",
)
async def count(session: SessionPath) -> Count:
    return Count(count=len(await session.lids.list()))


@router.get(
    "/pn/{phoneNumber}",
    operation_id="LidsController_findLIDByPhoneNumber",
    summary="Get lid by phone number (chat id)",
    description="WhatsApp is asked when the session does not know it.",
)
async def lid_of(
    session: SessionPath,
    phone_number: Annotated[
        str, Path(alias="phoneNumber", max_length=64, description="Number or ...@c.us")
    ],
) -> LidToPhoneNumber:
    return LidToPhoneNumber.of(await session.lids.lid_of(phone_number))


@router.get(
    "/{lid}",
    operation_id="LidsController_findPNByLid",
    summary="Get phone number by lid",
)
async def phone_of(
    session: SessionPath,
    lid: Annotated[str, Path(max_length=64, description="With or without @lid")],
) -> LidToPhoneNumber:
    return LidToPhoneNumber.of(await session.lids.phone_of(lid))
