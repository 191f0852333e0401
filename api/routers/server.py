"""The server itself: its settings, and what WAHA's one-process server can do that this is not."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Response

from api.models import WahaModel
from api.params import GatewayDep, SessionName
from api.problems import responses
from api.router import Router
from api.strict_json import StrictJsonRoute
from cluster.domain.errors import Invalid, NotSupported, Unauthorized

__all__ = ["router"]

router = Router(
    tags=["🔍 Observability"], route_class=StrictJsonRoute, responses=responses(Unauthorized)
)

_CANNOT = responses(Invalid, NotSupported)


class StopRequest(WahaModel):
    force: bool | None = False


@router.get(
    "/api/server/environment",
    operation_id="ServerController_environment",
    summary="Get the server environment",
    description="The settings in effect, by the names of their environment variables; secrets are "
    "masked.",
)
async def environment(
    gateway: GatewayDep,
    all: Annotated[bool, Query(description="Also settings that have their defaults.")] = False,
) -> dict[str, str]:
    return await gateway.environment(all=all)


@router.post(
    "/api/server/stop",
    operation_id="ServerController_stop",
    summary="Stop (and restart) the server",
    status_code=201,
    responses=_CANNOT,
)
async def stop(request: StopRequest | None = None) -> Response:
    raise NotSupported(
        "there is no one server to stop: use `gateway down` or the cluster's own means; sessions "
        "are stopped by POST /api/sessions/{session}/stop"
    )


@router.get(
    "/api/server/debug/cpu",
    operation_id="ServerDebugController_cpuProfile",
    summary="Collect and return a CPU profile for the current nodejs process",
    responses=_CANNOT,
)
async def cpu_profile(
    seconds: Annotated[int, Query(ge=1, le=3600, description="Of no effect.")] = 30,
) -> Response:
    raise NotSupported("there is no Node.js here: Ray's dashboard profiles workers")


@router.get(
    "/api/server/debug/heapsnapshot",
    operation_id="ServerDebugController_heapsnapshot",
    summary="Return a heapsnapshot for the current nodejs process",
    responses=_CANNOT,
)
async def heapsnapshot() -> Response:
    raise NotSupported("there is no Node.js here: Ray's dashboard profiles workers")


@router.get(
    "/api/server/debug/browser/trace/{session}",
    operation_id="ServerDebugController_browserTrace",
    summary="Collect and get a trace.json for Chrome DevTools",
    responses=_CANNOT,
)
async def browser_trace(session: SessionName) -> Response:
    raise NotSupported("there is no browser behind a session")
