"""Contacts: people, their names, pictures and about texts; blocking."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from fastapi import Path, Query, Response

from api.models.contacts import (
    About,
    ContactAnswer,
    ContactRequest,
    ContactUpdateBody,
    ProfilePictureUrl,
    WANumberExistResult,
)
from api.models.results import Result
from api.paging import Paging, Words, mentions
from api.params import GatewayDep, SessionName, SessionPath
from api.problems import responses
from api.router import Router
from api.strict_json import StrictJsonRoute
from client.session import SessionClient
from cluster.domain.errors import (
    Invalid,
    NotSupported,
    SessionNotFound,
    SessionNotWorking,
    Unauthorized,
    Unavailable,
    WhatsAppRefused,
)

__all__ = ["by_session", "number_status", "router"]

_PROBLEMS = responses(
    Invalid, SessionNotWorking, SessionNotFound, Unauthorized, Unavailable, WhatsAppRefused
)
router = Router(
    prefix="/api/contacts",
    tags=["👤 Contacts"],
    route_class=StrictJsonRoute,
    responses=_PROBLEMS,
)
#: WAHA's newer paths, with the session in front.
by_session = Router(
    prefix="/api/{session}/contacts",
    tags=["👤 Contacts"],
    route_class=StrictJsonRoute,
    responses=_PROBLEMS,
)

_Session = Annotated[SessionName, Query(description="Session name")]
_Contact = Annotated[
    str, Query(alias="contactId", max_length=128, examples=["11111111111@c.us", "123@lid"])
]


class SortField(StrEnum):
    ID = "id"
    NAME = "name"


@router.get("/all", operation_id="ContactsController_getAll", summary="Get all contacts")
async def get_all(
    gateway: GatewayDep,
    paging: Paging,
    session: _Session = "default",
    sort_by: Annotated[SortField, Query(alias="sortBy")] = SortField.ID,
    q: Words = None,
) -> list[ContactAnswer]:
    found = await gateway.session(session).contacts.list()
    if q is not None:
        found = [one for one in found if mentions(q, one.name, one.push_name, one.jid, one.lid)]
    by_name = sort_by is SortField.NAME
    page = paging.page(found, lambda one: (one.name or one.push_name if by_name else "", one.jid))
    return [ContactAnswer.of(one) for one in page]


@router.get(
    "",
    operation_id="ContactsController_get",
    summary="Get contact basic info",
    description="Always answers, whether the number has WhatsApp or not: for that ask "
    "/contacts/check-exists.",
)
async def get(
    gateway: GatewayDep, contact_id: _Contact, session: _Session = "default"
) -> ContactAnswer:
    return ContactAnswer.of(await gateway.session(session).contacts.get(contact_id))


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
    session: _Session = "default",
) -> WANumberExistResult:
    return await number_status(gateway.session(session), phone)


@router.get(
    "/about",
    operation_id="ContactsController_getAbout",
    summary='Gets the Contact\'s "about" info',
)
async def get_about(
    gateway: GatewayDep, contact_id: _Contact, session: _Session = "default"
) -> About:
    return About(about=await gateway.session(session).contacts.about(contact_id))


@router.get(
    "/profile-picture",
    operation_id="ContactsController_getProfilePicture",
    summary="Get contact's profile picture URL",
)
async def get_profile_picture(
    gateway: GatewayDep,
    contact_id: _Contact,
    session: _Session = "default",
    refresh: Annotated[bool, Query(description="WhatsApp is asked every time.")] = False,
) -> ProfilePictureUrl:
    url = await gateway.session(session).contacts.picture(contact_id)
    return ProfilePictureUrl(profilePictureURL=url)


@router.post(
    "/block",
    operation_id="ContactsController_block",
    summary="Block contact",
    status_code=201,
)
async def block(gateway: GatewayDep, request: ContactRequest) -> Response:
    await gateway.session(request.session).contacts.block(request.contactId)
    return Response(status_code=201)


@router.post(
    "/unblock",
    operation_id="ContactsController_unblock",
    summary="Unblock contact",
    status_code=201,
)
async def unblock(gateway: GatewayDep, request: ContactRequest) -> Response:
    await gateway.session(request.session).contacts.unblock(request.contactId)
    return Response(status_code=201)


@by_session.get(
    "/{id}", operation_id="ContactsSessionController_get", summary="Get contact basic info"
)
async def get_of_session(
    session: SessionPath, contact_id: Annotated[str, Path(alias="id", max_length=128)]
) -> ContactAnswer:
    return ContactAnswer.of(await session.contacts.get(contact_id))


@by_session.put(
    "/{chatId}",
    operation_id="ContactsSessionController_put",
    summary="Create or update contact",
    description="In the account's address book, on its phone as well.",
    responses=responses(NotSupported),
)
async def put(
    session: SessionPath,
    chat_id: Annotated[str, Path(alias="chatId", max_length=128)],
    request: ContactUpdateBody,
) -> Result:
    await session.contacts.save(chat_id, request.firstName, request.lastName)
    return Result()


async def number_status(session: SessionClient, phone: str) -> WANumberExistResult:
    """Raises `Invalid` naming `phone`, `SessionNotWorking`."""
    found = await session.check_number(phone)
    chat_id = found.chat_id or None
    return WANumberExistResult(
        numberExists=found.exists,
        chatId=chat_id,
        pn=chat_id if chat_id and chat_id.endswith("@c.us") else None,
    )
