"""Authentication: a request runs as a principal, or is refused before anything of it is read."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import cast

import structlog
from starlette.datastructures import MutableHeaders, QueryParams
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.gateway import Gateway
from api.problems import problem_response
from api.security.audit import audited
from api.security.authenticator import Authenticator
from api.security.caller import address_of, header_of, known_principal, remember, tool_of
from api.security.rate_limits import RateLimits, Standing, sessions_of
from cluster.domain.errors import GatewayError, Unauthorized, Unavailable
from cluster.domain.principal import Principal

__all__ = ["AuthenticationMiddleware"]

log = structlog.get_logger(__name__)

#: A stream's caller is looked at again this often: keys are taken back, tokens end.
_RECHECK_SECONDS = 15.0
_STREAM = b"text/event-stream"


class AuthenticationMiddleware:
    """Refuses whom `authenticator` does not know, except on the `open_to_all` paths (or below
    those ending `/`)."""

    def __init__(
        self, app: ASGIApp, *, authenticator: Authenticator, open_to_all: frozenset[str]
    ) -> None:
        self._app = app
        self._authenticator = authenticator
        self._exact = {path for path in open_to_all if path == "/" or not path.endswith("/")}
        self._below = tuple(open_to_all - self._exact)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif self._open(scope["path"]):
            if found := self._authenticator.configured(scope):
                remember(scope, found)
            await self._app(scope, receive, send)
        else:
            await self._admit(scope, receive, send)

    def _open(self, path: str) -> bool:
        return path in self._exact or bool(self._below and path.startswith(self._below))

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        gateway = cast(Gateway, scope["app"].state.gateway)
        try:
            principal, ends = await self._authenticator.principal(scope, gateway)
            standing = await self._counted(scope, principal)
        except GatewayError as error:
            refused = await self._counted_refusal(scope, error)
            await _refuse(refused, scope, receive, send)
            return
        remember(scope, principal)
        if standing is not None:
            send = _with_headers(send, standing.headers())
        if scope["type"] == "websocket" or scope["path"].endswith("/events/stream"):
            await self._watched(scope, receive, send, ends)
        else:
            await self._app(scope, receive, audited(scope, send, principal, gateway))

    async def _counted(self, scope: Scope, principal: Principal) -> Standing | None:
        limits: RateLimits | None = scope["app"].state.limits
        if limits is None:
            return None
        # The call of a tool was counted when it came in.
        inside = tool_of(scope) is not None
        counted = [] if inside else [("key", principal.who), ("tenant", principal.tenant)]
        query = QueryParams(scope["query_string"]).multi_items()
        for session in sorted(sessions_of(scope["path"], query))[:2]:
            counted.append(("session", f"{principal.tenant}/{session[:64]}"))
        return await limits.take(*counted)

    async def _counted_refusal(self, scope: Scope, error: GatewayError) -> GatewayError:
        """Who tries many keys hears that, and nothing of the keys. Good keys from the same
        address still come in: it may be that of many."""
        limits: RateLimits | None = scope["app"].state.limits
        if limits is not None and isinstance(error, Unauthorized):
            try:
                await limits.take(("stranger", address_of(scope)))
            except GatewayError as too_many:
                return too_many
        return error

    async def _watched(
        self, scope: Scope, receive: Receive, send: Send, ends: float | None
    ) -> None:
        """A stream lasts no longer than its caller's right to it."""
        gone = False

        async def while_allowed(message: Message) -> None:
            if not gone:
                await send(message)

        served = asyncio.ensure_future(self._app(scope, receive, while_allowed))
        try:
            while not served.done():
                pause = _RECHECK_SECONDS if ends is None else ends - time.time()
                await asyncio.wait({served}, timeout=max(0.0, min(_RECHECK_SECONDS, pause)))
                if not served.done() and not await self._still(scope, ends):
                    gone = True
                    break
        finally:
            if not served.done():
                served.cancel()
                await asyncio.gather(served, return_exceptions=True)
        if gone:
            await _end_stream(scope, send)
        else:
            await served

    async def _still(self, scope: Scope, ends: float | None) -> bool:
        if ends is not None and time.time() >= ends:
            return False
        try:
            gateway = cast(Gateway, scope["app"].state.gateway)
            now, _ = await self._authenticator.principal(scope, gateway)
        except Unauthorized:
            return False
        except Unavailable:
            return True
        return now == known_principal(scope)


def _with_headers(send: Send, headers: dict[str, str]) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(headers)
        await send(message)

    return sent


async def _end_stream(scope: Scope, send: Send) -> None:
    log.info("stream.right_ended")
    with suppress(RuntimeError):
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "Unauthorized"})
        else:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _refuse(error: GatewayError, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        # RFC 6455 1008 policy violation; 1013 try again later.
        code = 1008 if isinstance(error, Unauthorized) else 1013
        await send({"type": "websocket.close", "code": code, "reason": "Unauthorized"})
        return
    response = problem_response(error, scope.get("state", {}).get("request_id", ""))
    if (header_of(scope, b"content-length") or "0") != "0":
        response.headers["Connection"] = "close"
    await response(scope, receive, send)
