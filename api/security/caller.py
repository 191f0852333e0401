"""The caller of a request, and the gateway as it is for that caller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from starlette.requests import HTTPConnection
from starlette.types import Scope

from api.gateway import Gateway
from api.security.rate_limits import RateLimits
from api.security.scoped_gateway import ScopedGateway
from cluster.domain.errors import Unauthorized
from cluster.domain.principal import Principal

__all__ = [
    "ToolCall",
    "address_of",
    "count_session",
    "gateway_of",
    "header_of",
    "known_principal",
    "operator",
    "principal_of",
    "remember",
    "tool_of",
]

_KEY = "principal"
TOOL = "tool"


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolCall:
    """Why a request was made inside the application: an agent's tool."""

    name: str
    #: As given; empty for tools that are of no session.
    session: str


def tool_of(scope: Scope) -> ToolCall | None:
    """None for requests from outside. ASGI servers put nothing of a caller's into the state."""
    return cast(ToolCall | None, scope.get("state", {}).get(TOOL))


def remember(scope: Scope, principal: Principal) -> None:
    """Have the request run as `principal`."""
    scope.setdefault("state", {})[_KEY] = principal


def known_principal(scope: Scope) -> Principal | None:
    """None on paths that are open to all."""
    return cast(Principal | None, scope.get("state", {}).get(_KEY))


def principal_of(connection: HTTPConnection) -> Principal:
    """Raises `Unauthorized` when nobody is known."""
    found = known_principal(connection.scope)
    if found is None:
        raise Unauthorized
    return found


def address_of(scope: Scope) -> str:
    """Where the request came from, proxies that are believed left aside."""
    client = scope.get("client")
    return str(scope.get("state", {}).get("address") or (client[0] if client else ""))


def header_of(scope: Scope, name: bytes) -> str | None:
    """The first header with this lower-case name. Looked for several times in each request: the
    framework's own way takes three times as long."""
    for given, value in scope["headers"]:
        if given == name:
            return str(value, "latin-1")
    return None


async def count_session(connection: HTTPConnection, body: Any) -> None:
    """Count a request to the session that its body names. Raises `RateLimited`."""
    limits: RateLimits | None = getattr(connection.app.state, "limits", None)
    principal = known_principal(connection.scope)
    name = body.get("session") if isinstance(body, dict) else None
    if limits is not None and principal is not None and isinstance(name, str):
        await limits.count("session", f"{principal.tenant}/{name[:64]}")


def operator(connection: HTTPConnection) -> bool:
    """Whether the caller is known to run the gateway."""
    found = known_principal(connection.scope)
    return found is not None and found.operates


def gateway_of(connection: HTTPConnection) -> Gateway:
    """The caller's part of the gateway: other tenants' sessions, and those that the key is not
    for, do not exist in it."""
    whole = cast(Gateway, connection.app.state.gateway)
    return ScopedGateway(whole, principal_of(connection))
