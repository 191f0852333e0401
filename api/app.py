"""The HTTP application, put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import cache

from fastapi import Depends, FastAPI
from starlette.routing import BaseRoute

from api import console, docs_page, openapi, problems
from api.body_limit import BodyLimitMiddleware
from api.body_sizes import limit_by_path
from api.gateway import GatewayFactory
from api.request_context import RequestContextMiddleware
from api.router import Router
from api.routers import (
    apps,
    auth,
    calls,
    channels,
    chats,
    chatting,
    chatwoot,
    cluster,
    contacts,
    events,
    groups,
    keys,
    labels,
    lids,
    live,
    mcp,
    media,
    metrics,
    observability,
    outbox,
    presence,
    profile,
    sandbox,
    search,
    server,
    sessions,
    status,
    transfer,
    unoffered,
    webhooks,
)
from api.security.authenticator import Authenticator
from api.security.authorization import authorize
from api.security.edge_policy import EdgePolicy
from api.security.middleware import AuthenticationMiddleware
from api.security.rate_limits import RateLimits
from cluster.settings import (
    FrontSettings,
    HttpSettings,
    JwtSettings,
    MediaSettings,
    Settings,
)

__all__ = ["create_app", "warm_up"]

_DESCRIPTION = """WhatsApp over HTTP, compatible with WAHA.

Send the key as `X-Api-Key`. Errors are problem details (RFC 9457) with WAHA's `statusCode`, `error`
and `message` beside them; `503` and `429` carry `Retry-After`."""


def create_app(
    gateway: GatewayFactory,
    settings: HttpSettings,
    media_settings: MediaSettings | None = None,
    jwt_settings: JwtSettings | None = None,
    *,
    front_settings: FrontSettings | None = None,
    limits: RateLimits | None = None,
    ingress_secret: str = "",
) -> FastAPI:
    """The application. `gateway` is called once, in the loop that serves requests, when the
    application starts; what it gives may connect on first use and is closed at the end.
    `ingress_secret`: see `ops.ingress`."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.gateway = gateway()
        try:
            yield
        finally:
            await app.state.gateway.close()

    app = FastAPI(
        title="WhatsApp session gateway",
        version="0.1.0",
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        dependencies=[Depends(authorize)],
        # Spans and figures are ours (cluster/telemetry); FastAPI's would hold paths, and in them
        # phone numbers.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    files = media_settings or MediaSettings()
    app.state.media = files
    app.state.public_url = files.public_url
    app.state.live_bytes = settings.live_bytes
    app.state.health = observability.HealthProbe()
    app.state.front = front = EdgePolicy(
        front_settings or FrontSettings(), ingress_secret=ingress_secret
    )
    app.state.limits = limits
    app.state.mcp_slots = mcp.CallSlots()
    authenticator = Authenticator(
        settings.api_key, jwt_settings or JwtSettings(), front_settings or FrontSettings()
    )

    app.router.routes.extend(_routes())
    docs_page.install(app)
    console.install(app)
    problems.install(app)
    openapi.install(app, public=observability.PUBLIC)

    # The last one added is the outermost: id and deadline, then the address, then the key and its
    # limits, then the body's bound.
    app.add_middleware(BodyLimitMiddleware, limit=limit_by_path(settings.max_body_bytes, files))
    app.add_middleware(
        AuthenticationMiddleware,
        authenticator=authenticator,
        open_to_all=observability.PUBLIC | docs_page.PUBLIC | console.PUBLIC,
    )
    front.install(app)
    app.add_middleware(
        RequestContextMiddleware, timeout=timedelta(seconds=settings.request_timeout_seconds)
    )
    return app


def warm_up(settings: Settings) -> None:
    """Make and import what every application of a process and of its forks would at its first use:
    a second of processor time."""
    _routes()
    RateLimits(settings.limits, settings.stores)


#: What is asked for more often than all others.
_MOST_ASKED = "/api/sendText"


@cache
def _routes() -> list[BaseRoute]:
    """All that callers may ask for. Made once in a process, as it takes longer than all the rest:
    what a route needs of its application comes with the request."""
    every = Router()
    # `/api/sessions`, `/api/contacts` … before `/api/{session}/…`, which would match them too.
    for part in (observability, metrics, server, keys, apps, chatwoot, mcp, cluster, sandbox):
        every.include_router(part.router)
    every.include_router(auth.screenshots)
    for part in (transfer, sessions, chatting, contacts, media, auth, chats, search, status):
        every.include_router(part.router)
    for part in (groups, lids, profile, presence, labels, channels, calls):
        every.include_router(part.router)
    for part in (events, webhooks, outbox, live):
        every.include_router(part.router)
    every.include_router(events.of_all)
    every.include_router(contacts.by_session)
    every.include_router(unoffered.router)
    # Looked through from the beginning for each request, by Serve and by the application.
    return sorted(every.made(), key=lambda route: getattr(route, "path", "") != _MOST_ASKED)
