"""Calls: turning them down."""

from __future__ import annotations

from fastapi import Response
from pydantic import Field

from api.models import WahaModel
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
    prefix="/api/{session}/calls",
    tags=["📞 Calls"],
    route_class=StrictJsonRoute,
    responses=responses(
        Invalid, SessionNotWorking, SessionNotFound, Unauthorized, Unavailable, WhatsAppRefused
    ),
)


class RejectCallRequest(WahaModel):
    from_: str = Field(alias="from", max_length=128, examples=["11111111111@c.us"])
    id: str = Field(
        min_length=1,
        max_length=128,
        pattern=r"^[!-~]+$",
        description="Call ID",
        examples=["ABCDEFGABCDEFGABCDEFGABCDEFG"],
    )


@router.post(
    "/reject",
    operation_id="CallsController_rejectCall",
    summary="Reject incoming call",
    status_code=201,
)
async def reject(session: SessionPath, request: RejectCallRequest) -> Response:
    await session.calls.reject(request.from_, request.id)
    return Response(status_code=201)
