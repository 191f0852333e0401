"""Sessions from and to other gateways: an encrypted archive out, and in; foreign stores in."""

from __future__ import annotations

from fastapi import Response

from api.models.sessions import SessionInfo
from api.models.transfer import ExportRequest, ImportRequest
from api.params import GatewayDep, SessionPath
from api.problems import SessionExists, responses
from api.router import Router
from api.strict_json import StrictJsonRoute
from cluster.domain.config_secrets import unmasked
from cluster.domain.errors import (
    BodyTooLarge,
    Conflict,
    Forbidden,
    Invalid,
    SessionNotFound,
    Unauthorized,
    Unavailable,
)

__all__ = ["router"]

router = Router(
    prefix="/api/sessions",
    tags=["🖥️ Sessions"],
    route_class=StrictJsonRoute,
    responses=responses(Unauthorized, Forbidden, Unavailable, Invalid),
)


@router.post(
    "/import",
    operation_id="TransferController_import",
    summary="Import a session with its linked device",
    description="Ours. Takes an admin. The device must not run anywhere else from now on. Signal "
    "sessions are negotiated anew, the account's QR code is not asked for.",
    status_code=201,
    responses=responses(SessionExists, Conflict, BodyTooLarge),
)
async def bring(gateway: GatewayDep, request: ImportRequest) -> SessionInfo:
    config = unmasked(request.config.stored(), {}) if request.config else None
    return SessionInfo.of(
        await gateway.import_session(
            request.name, request.as_source(), config=config, start=request.start
        )
    )


@router.post(
    "/{session}/export",
    operation_id="TransferController_export",
    summary="Export a stopped session's linked device",
    description="Ours. Takes an admin. The answer is an encrypted archive. From then on the "
    "session does not start here: delete it, or take the export back.",
    response_class=Response,
    responses={
        200: {"content": {"application/octet-stream": {"schema": {"format": "binary"}}}},
        **responses(SessionNotFound, Conflict),
    },
)
async def export(session: SessionPath, request: ExportRequest) -> Response:
    archive = await session.export(passphrase=request.passphrase, key=request.key)
    return Response(
        archive,
        media_type="application/octet-stream",
        headers={"Content-Disposition": 'attachment; filename="session.wsg"'},
    )


@router.delete(
    "/{session}/export",
    operation_id="TransferController_takeBack",
    summary="Take an export back",
    description="Ours. Takes an admin. Only when no archive of the session is used, nor will be: "
    "the session may start here again.",
    responses=responses(SessionNotFound),
)
async def take_back(session: SessionPath) -> SessionInfo:
    return SessionInfo.of(await session.take_back())
