"""What a route takes: one table, by method and template of the path."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from functools import cache
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Scope

from api.security.caller import address_of, known_principal
from api.security.edge_policy import EdgePolicy
from cluster.domain.errors import Forbidden
from cluster.domain.principal import Action

__all__ = ["PUBLIC_TEMPLATES", "AuthorizedRoute", "authorize", "needs", "template_of"]

PUBLIC_TEMPLATES = frozenset(
    {"/", "/ping", "/health", "/health/live", "/health/ready", "/docs", "/openapi.json", "/console"}
)
MANAGE, OPERATE = "manage", "operate"
_READ, _SEND, _VIEW = (Action.READ,), (Action.SEND,), (Action.VIEW,)
_CONTROL, _SETTING = (Action.CONTROL,), (Action.SETTING,)
_S = r"/api/\{session\}"
#: The first that matches counts. Methods, template, and what it takes: all of these actions, to
#: manage the tenant, to operate the gateway, or a key of any kind (an empty tuple).
_TABLE: list[tuple[str, str, tuple[Action, ...] | str]] = [
    (r"GET", r"/api/(version|server/(version|status)|access)", ()),
    (r"\w+", r"/api/server/.*", OPERATE),
    (r"\w+", r"/metrics", OPERATE),
    (r"\w+", r"/api/(nodes|workers|cluster|sandbox)(/.*)?", OPERATE),
    (r"\w+", r"/api/(keys|audit)(/.*)?", MANAGE),
    (r"\w+", r"/api/files/.*", (Action.MEDIA,)),
    (r"\w+", r"/api/sessions/(import|\{session\}/export)", MANAGE),
    (r"POST", r"/api/sessions", _CONTROL),
    (r"POST", r"/api/sessions/start", (Action.CONTROL, Action.SETTING)),
    (r"POST", r"/api/sessions/(stop|logout)", (Action.CONTROL, Action.DELETE)),
    (r"GET", r"/api/vitals(/traffic)?", _VIEW),
    (r"GET", r"/api/sessions.*", _VIEW),
    (r"PUT", r"/api/sessions/\{session\}", _SETTING),
    (r"DELETE", r"/api/sessions/\{session\}", (Action.DELETE,)),
    (r"\w+", r"/api/sessions/\{session\}/.*", _CONTROL),
    (r"\w+", rf"{_S}/auth/.*", _CONTROL),
    # A QR code links a device.
    (r"GET", r"/api/screenshot", _CONTROL),
    (r"\w+", r"/api/apps(/.*)?", (Action.APP,)),
    (r"GET|WEBSOCKET", rf"/ws|{_S}/(events|webhooks).*", _READ),
    (r"\w+", rf"{_S}/(events|webhooks)/.*", _SETTING),
    # WAHA still has a GET that sends.
    (r"\w+", r"/api/(send.*|reply|forward.*)", _SEND),
    (r"GET", r"/api/.*", _READ),
    # Lists that are asked for by POST.
    (r"POST", rf"{_S}/(chats/overview|channels/search/.*|groups/refresh)", _READ),
    (r"POST", r"/webhooks/chatwoot/.*", _SEND),
    # Each tool is a route, and takes what that one takes.
    (r"\w+", r"/mcp", ()),
    (r"\w+", r"/api/.*", _SEND),
]
_RULES = [(re.compile(methods), re.compile(path), takes) for methods, path, takes in _TABLE]


@cache
def needs(method: str, template: str) -> tuple[Action, ...] | str:
    """What a route takes. A route that nobody thought of takes the operator."""
    for methods, path, takes in _RULES:
        if methods.fullmatch(method) and path.fullmatch(template):
            return takes
    return OPERATE


def template_of(scope: Scope) -> str:
    """The template of the route's path; empty when none matched."""
    return str(getattr(scope.get("route"), "path", ""))


async def authorize(connection: HTTPConnection) -> None:
    """Raises `Forbidden` when the caller may not use this route at all. Which sessions it sees is
    another question, and `ScopedGateway` answers it."""
    template = template_of(connection.scope)
    principal = known_principal(connection.scope)
    if template in PUBLIC_TEMPLATES:
        return
    method = connection.scope.get("method", "WEBSOCKET")
    takes = needs(method, template)
    allowed = principal is not None and (
        (principal.operates if takes == OPERATE else principal.manages)
        if isinstance(takes, str)
        else principal.may(takes)
    )
    front: EdgePolicy = connection.app.state.front
    if isinstance(takes, str) and not front.controls(address_of(connection.scope)):
        raise Forbidden("that is not to be had from this address")
    if not allowed:
        what = takes if isinstance(takes, str) else ", ".join(takes) or "a key"
        raise Forbidden(f"The key or token does not allow that: it takes {what}", takes=what)


class AuthorizedRoute(APIRoute):
    """A route that is refused whom it is not for before anything of the request is read."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = self.handler()

        async def handle_authorized(request: Request) -> Response:
            await authorize(request)
            return await handle(request)

        return handle_authorized

    def handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers whom it is for."""
        return super().get_route_handler()
