"""Pairing: the QR code and the pairing code."""

from __future__ import annotations

import asyncio
import base64
from typing import Annotated

from fastapi import Header, Query, Response

from api.media_types import prefers_json
from api.models.auth import Base64File, PairingCode, QrFormat, QrValue, RequestCodeRequest
from api.params import GatewayDep, SessionName, SessionPath
from api.problems import responses
from api.router import Router
from api.strict_json import StrictJsonRoute
from api.wait_for_status import wait_for_status
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
from cluster.domain.session import SessionStatus
from cluster.media.qr_image import qr_png

__all__ = ["router", "screenshots"]

router = Router(
    prefix="/api/{session}/auth",
    tags=["🔑 Auth"],
    route_class=StrictJsonRoute,
    responses=responses(Invalid, SessionNotWorking, SessionNotFound, Unauthorized, Unavailable),
)

screenshots = Router(
    tags=["🖼️ Screenshot"],
    route_class=StrictJsonRoute,
    responses=responses(Invalid, SessionNotFound, Unauthorized, Unavailable, NotSupported),
)

_PNG = "image/png"
#: A code is good for seconds and links a device: nobody on the way may keep it.
_UNCACHED = {"Cache-Control": "no-store"}


@router.get(
    "/qr",
    operation_id="AuthController_getQR",
    summary="Get QR code for pairing WhatsApp API.",
    description="An image, or its base64 with `Accept: application/json`, or the value itself "
    "with `format=raw`.",
    response_model=Base64File | QrValue,
    responses={200: {"content": {_PNG: {"schema": {"type": "string", "format": "binary"}}}}},
)
async def get_qr(
    session: SessionPath,
    response: Response,
    format: Annotated[QrFormat, Query()] = QrFormat.IMAGE,
    accept: Annotated[str, Header(include_in_schema=False)] = _PNG,
) -> Response | Base64File | QrValue:
    if format is QrFormat.RAW:
        response.headers.update(_UNCACHED)
        return QrValue(value=(await wait_for_status(session.qr)).text)
    return await _image(session, response, accept)


async def _image(session: SessionClient, response: Response, accept: str) -> Response | Base64File:
    """The QR code as a picture, or its base64."""
    code = await wait_for_status(session.qr)
    response.headers.update(_UNCACHED)
    image = await asyncio.to_thread(qr_png, code.text)
    if prefers_json(accept, over="image/"):
        return Base64File(mimetype=_PNG, data=base64.b64encode(image).decode())
    return Response(image, media_type=_PNG, headers=_UNCACHED)


@router.post(
    "/request-code",
    operation_id="AuthController_requestCode",
    summary="Request authentication code.",
    status_code=201,
    responses=responses(WhatsAppRefused, NotSupported),
)
async def request_code(session: SessionPath, request: RequestCodeRequest) -> PairingCode:
    if request.method:
        raise NotSupported("only pairing of a linked device: leave method empty", field="method")
    phone = request.phoneNumber
    return PairingCode(code=await wait_for_status(lambda: session.request_code(phone)))


@screenshots.get(
    "/api/screenshot",
    operation_id="ScreenshotController_screenshot",
    summary="Get a screenshot of the current WhatsApp session",
    description="There is no browser to look at: the QR code, as WAHA's GOWS does, while the "
    "session waits for it to be scanned.",
    response_model=Base64File,
    responses={200: {"content": {_PNG: {"schema": {"type": "string", "format": "binary"}}}}},
)
async def screenshot(
    gateway: GatewayDep,
    response: Response,
    session: Annotated[SessionName, Query(description="Session name")] = "default",
    accept: Annotated[str, Header(include_in_schema=False)] = _PNG,
) -> Response | Base64File:
    shown = gateway.session(session)
    if (await shown.info()).status is not SessionStatus.SCAN_QR_CODE:
        raise NotSupported("there is no browser behind a session: only its QR code can be shown")
    return await _image(shown, response, accept)
