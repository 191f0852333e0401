"""Whether the gateway is alive and well, and what it is made of."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from fastapi import Request
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from api.gateway import Gateway
from api.models.observability import Environment, Health, Ping, Readiness, ServerStatus, Worker
from api.params import GatewayDep
from api.problems import responses
from api.router import Router
from api.security.authorization import AuthorizedRoute
from api.security.caller import operator
from cluster.domain.errors import Unauthorized, Unavailable

__all__ = ["PUBLIC", "HealthProbe", "ProbeRoute", "router"]

#: Served without a key.
PUBLIC = frozenset({"/ping", "/health", "/health/live", "/health/ready"})

router = Router(tags=["🔍 Observability"])

#: By the clock, and by one that nobody sets.
_STARTED, _BEGAN = time.time(), time.monotonic()
_VERSION_OF = "whatsapp-session-gateway"


class HealthProbe:
    """The stores' health, asked for at most once in `interval`: whoever asks without a key must
    not be able to load the stores."""

    def __init__(self, *, interval: timedelta = timedelta(seconds=1)) -> None:
        self._interval = interval.total_seconds()
        self._taken = float("-inf")
        self._last: Health | None = None
        #: Promises that the library of some process does not keep, as of then.
        self.smaller: dict[str, str] = {}
        #: Sessions that are to run and that nobody owned then.
        self.ownerless = 0

    async def take(self, gateway: Gateway) -> Health:
        now = time.monotonic()
        if self._last is None or now - self._taken >= self._interval:
            try:
                self._last = Health.of(await gateway.health())
                self.ownerless = await _ownerless(gateway)
                reports = await gateway.library()
                self.smaller = {k: v for facts in reports for k, v in facts["smaller"].items()}
            except Unavailable as error:
                self._last = Health.of({"gateway": {"ok": False, "message": error.detail}})
            self._taken = time.monotonic()
        return self._last


async def _ownerless(gateway: Gateway) -> int:
    """None are known while PostgreSQL is unreachable, which is reported as that."""
    try:
        return await gateway.ownerless()
    except Unavailable:
        return 0


class ProbeRoute(AuthorizedRoute):
    """Open to all, takes nothing, and answers the same each time: that answer is made once, and
    given without what the framework does for a handler, which is most of such a request."""

    def __init__(self, path: str, endpoint: Callable[[], BaseModel], **options: Any) -> None:
        """Raises `ValueError` when the path is not open to all."""
        super().__init__(path, endpoint, **options)
        if path not in PUBLIC:
            raise ValueError(f"{path} is not open to all")
        body = endpoint().model_dump_json().encode()

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            await Response(body, media_type="application/json")(scope, receive, send)

        self.app = answer


probes = Router(route_class=ProbeRoute)


@probes.get(
    "/ping",
    operation_id="PingController_ping",
    summary="Ping the server",
    description="Check if the server is alive and responding to requests.",
)
def ping() -> Ping:
    return Ping()


@router.get(
    "/health",
    operation_id="HealthController_check",
    summary="Check the health of the server",
    description="The health of every store; without a key the overall state only.",
    response_model=Health,
    responses={503: {"model": Health, "description": "A part is down."}},
)
async def health(request: Request) -> JSONResponse:
    probe: HealthProbe = request.app.state.health
    found = await probe.take(request.app.state.gateway)
    shown = found if operator(request) else found.minimal()
    return JSONResponse(shown.model_dump(), 200 if found.status == "ok" else 503)


@probes.get(
    "/health/live",
    operation_id="HealthController_live",
    summary="Whether this replica lives",
    description="Ours, for probes: nothing is asked of the stores. A restart would not bring a "
    "store back.",
)
def live() -> Ping:
    return Ping(message="alive")


router.include_router(probes)


@router.get(
    "/health/ready",
    operation_id="HealthController_ready",
    summary="Whether this replica can take requests",
    response_model=Readiness,
    description="Ours, for probes and load balancers. `degraded` (200): requests are served, and "
    "something waits. `unready` (503): PostgreSQL is unreachable, so sends would be refused. "
    "Without the operator's key the state only.",
    responses={503: {"model": Readiness, "description": "Not ready."}},
)
async def ready(request: Request) -> JSONResponse:
    probe: HealthProbe = request.app.state.health
    health = await probe.take(request.app.state.gateway)
    found = Readiness.of(health, probe.smaller, ownerless=probe.ownerless)
    shown = found if operator(request) else found.minimal()
    return JSONResponse(shown.model_dump(), 503 if found.status == "unready" else 200)


@router.get(
    "/api/version",
    operation_id="VersionController_get",
    summary="Get the server version",
    description="Use 'GET /api/server/version' instead.",
    deprecated=True,
    responses=responses(Unauthorized),
)
async def version(request: Request, gateway: GatewayDep) -> Environment:
    return await _environment(gateway, request.app.version)


@router.get(
    "/api/server/version",
    operation_id="ServerController_get",
    summary="Get the version of the server",
    responses=responses(Unauthorized),
)
async def server_version(request: Request, gateway: GatewayDep) -> Environment:
    return await _environment(gateway, request.app.version)


@router.get(
    "/api/server/status",
    operation_id="ServerController_status",
    summary="Get the server status",
    responses=responses(Unauthorized),
)
async def server_status() -> ServerStatus:
    return ServerStatus(
        startTimestamp=int(_STARTED * 1000),
        uptime=int((time.monotonic() - _BEGAN) * 1000),
        worker=Worker(id=platform.node()),
    )


async def _environment(gateway: Gateway, own: str) -> Environment:
    versions = await gateway.version()
    found = versions.get(_VERSION_OF, "0.0.0")
    return Environment(
        # A checkout that runs in place is no installed distribution.
        version=own if found == "0.0.0" else found,
        platform=f"{sys.platform}/{platform.machine()}",
        worker=Worker(id=platform.node()),
        gateway=dict(versions),
    )
