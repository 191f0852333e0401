"""The bound on a request's body: counted as it streams in, never collected here."""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import problem_response
from api.security.caller import header_of
from cluster.domain.errors import BodyTooLarge

__all__ = ["BodyLimitMiddleware"]


_OF_A_BODY = {b"content-length", b"transfer-encoding"}


class _Exceeded(Exception):
    """Ends the reading inside the application; the answer is given outside."""


class BodyLimitMiddleware:
    """Answers 413 as soon as a body is known to exceed `limit(path, content_type)` bytes, by its
    declared length or by what came in. Whatever the application then says about its broken read is
    dropped."""

    def __init__(self, app: ASGIApp, *, limit: Callable[[str, str], int]) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _has_body(scope):
            await self._app(scope, receive, send)
            return
        seen = 0
        limit = self._limit(scope["path"], header_of(scope, b"content-type") or "")
        exceeded = started = False

        async def counted() -> Message:
            nonlocal seen, exceeded
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                exceeded = True
                raise _Exceeded
            return message

        async def unless_exceeded(message: Message) -> None:
            nonlocal started
            if not exceeded:
                started = True
                await send(message)

        if _declares_more(scope, limit):
            exceeded = True
        else:
            try:
                await self._app(scope, counted, unless_exceeded)
            except _Exceeded:
                if started:
                    raise
        if exceeded and not started:
            error = BodyTooLarge(f"the body exceeds {limit} bytes", limit=limit)
            response = problem_response(error, scope.get("state", {}).get("request_id", ""))
            response.headers["Connection"] = "close"
            await response(scope, receive, send)


def _has_body(scope: Scope) -> bool:
    """By its headers (RFC 9112, 6.3): a server of HTTP/1 reads none without one of these."""
    return any(name in _OF_A_BODY for name, _ in scope["headers"])


def _declares_more(scope: Scope, limit: int) -> bool:
    declared = header_of(scope, b"content-length") or ""
    return declared.isascii() and declared.isdigit() and int(declared[:20]) > limit
