"""The virtual phones of the sandbox, for the operator of a gateway in sandbox mode.

Passes requests on to the sandbox's control API, whose address and token stay inside. On a gateway
that speaks to the real WhatsApp every route of this module answers 404.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query, Response

from api.models.sandbox import (
    NewPhone,
    PhoneCode,
    PhoneMessage,
    PhoneRead,
    PhoneScan,
    PhoneTyping,
)
from api.params import GatewayDep
from api.problems import responses
from api.router import Router
from api.strict_json import StrictJsonRoute
from cluster.domain.errors import (
    BodyTooLarge,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Unauthorized,
    Unavailable,
)

__all__ = ["router"]

router = Router(
    prefix="/api/sandbox/phones",
    tags=["🧪 Sandbox"],
    route_class=StrictJsonRoute,
    responses=responses(Unauthorized, Forbidden, NotFound, Unavailable),
)
_Number = Annotated[str, Path(pattern=r"^[0-9]{5,20}$", examples=["4915100000001"])]
_Message = Annotated[str, Path(alias="messageId", pattern=r"^[A-Za-z0-9]{1,64}$")]
_TAKES = responses(Invalid, Conflict, BodyTooLarge)


@router.get("", operation_id="SandboxController_phones", summary="Virtual phones")
async def phones(gateway: GatewayDep) -> list[dict[str, Any]]:
    return list(await gateway.sandbox.call("GET", "/phones"))


@router.post(
    "",
    operation_id="SandboxController_addPhone",
    summary="Add a virtual phone",
    status_code=201,
    responses=_TAKES,
)
async def add_phone(gateway: GatewayDep, request: NewPhone) -> dict[str, Any]:
    return dict(await gateway.sandbox.call("POST", "/phones", request.model_dump()))


@router.post(
    "/{number}/scan",
    operation_id="SandboxController_scan",
    summary="Let a phone scan a QR code",
    status_code=204,
    responses=_TAKES,
)
async def scan(gateway: GatewayDep, number: _Number, request: PhoneScan) -> Response:
    return await _done(gateway, number, "scan", request.model_dump())


@router.post(
    "/{number}/link-code",
    operation_id="SandboxController_linkCode",
    summary="Type a pairing code on a phone",
    status_code=204,
    responses=_TAKES,
)
async def link_code(gateway: GatewayDep, number: _Number, request: PhoneCode) -> Response:
    return await _done(gateway, number, "link-code", request.model_dump())


@router.post(
    "/{number}/messages",
    operation_id="SandboxController_send",
    summary="Write from a phone",
    status_code=201,
    responses=_TAKES,
)
async def send(gateway: GatewayDep, number: _Number, request: PhoneMessage) -> dict[str, Any]:
    path = f"/phones/{number}/messages"
    return dict(await gateway.sandbox.call("POST", path, request.model_dump()))


@router.post(
    "/{number}/read",
    operation_id="SandboxController_read",
    summary="Read messages on a phone",
    status_code=204,
    responses=_TAKES,
)
async def read(gateway: GatewayDep, number: _Number, request: PhoneRead) -> Response:
    return await _done(gateway, number, "read", request.model_dump())


@router.post(
    "/{number}/typing",
    operation_id="SandboxController_typing",
    summary="Type on a phone",
    status_code=204,
    responses=_TAKES,
)
async def typing(gateway: GatewayDep, number: _Number, request: PhoneTyping) -> Response:
    return await _done(gateway, number, "typing", request.model_dump())


@router.get(
    "/{number}/inbox",
    operation_id="SandboxController_inbox",
    summary="What a phone decrypted",
    description="Its own messages too. With `wait` it answers as soon as there is something.",
    responses=responses(Invalid),
)
async def inbox(
    gateway: GatewayDep,
    number: _Number,
    after: Annotated[int, Query(ge=0, le=2**31, description="Entries numbered above this.")] = 0,
    wait: Annotated[float, Query(ge=0, le=30, description="Seconds.")] = 0,
    kind: Annotated[str, Query(pattern=r"^[a-z_]{0,32}$")] = "message",
) -> dict[str, Any]:
    query = f"after={after}&wait={wait}&kind={kind}"
    return dict(await gateway.sandbox.call("GET", f"/phones/{number}/inbox?{query}"))


@router.get(
    "/{number}/inbox/{messageId}/media",
    operation_id="SandboxController_media",
    summary="The file of a message, as the phone decrypted it",
    response_class=Response,
    responses=responses(Conflict, Invalid)
    | {200: {"content": {"application/octet-stream": {}}, "description": "The file"}},
)
async def media(gateway: GatewayDep, number: _Number, message_id: _Message) -> Response:
    found = await gateway.sandbox.download(f"/phones/{number}/inbox/{message_id}/media")
    return Response(found, media_type="application/octet-stream")


async def _done(gateway: GatewayDep, number: str, verb: str, body: dict[str, Any]) -> Response:
    await gateway.sandbox.call("POST", f"/phones/{number}/{verb}", body)
    return Response(status_code=204)
