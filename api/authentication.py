"""Who may come in: the API key, checked before anything of the request is read."""

from __future__ import annotations

import hashlib
import hmac

from starlette.datastructures import Headers, QueryParams
from starlette.types import ASGIApp, Receive, Scope, Send

from api.problems import problem_response
from cluster.domain.errors import Unauthorized

__all__ = ["ApiKey", "ApiKeyMiddleware"]

HEADER = "X-Api-Key"


class ApiKey:
    """The key of the configuration: plain, or `sha512:<hex>` as WAHA accepts it."""

    def __init__(self, configured: str) -> None:
        kind, _, digest = configured.partition(":")
        self._digest = (
            digest.lower() if kind == "sha512" and digest else _sha512(configured.encode())
        )
        self._set = bool(configured)

    def admits(self, given: str | None) -> bool:
        """Constant time in the key. Without a configured key nobody is admitted."""
        if not self._set or not given:
            return False
        return hmac.compare_digest(_sha512(given.encode()).encode(), self._digest.encode())


class ApiKeyMiddleware:
    """Refuses what lacks the key, except on the `open_to_all` paths (or below those ending `/`)."""

    def __init__(self, app: ASGIApp, *, key: ApiKey, open_to_all: frozenset[str]) -> None:
        self._app = app
        self._key = key
        self._exact = {path for path in open_to_all if path == "/" or not path.endswith("/")}
        self._below = tuple(open_to_all - self._exact)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self._admitted(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "Unauthorized"})
        else:
            error = Unauthorized(f"The API key is missing or unknown: send it as {HEADER}")
            response = problem_response(error, scope.get("state", {}).get("request_id", ""))
            await response(scope, receive, send)

    def _admitted(self, scope: Scope) -> bool:
        path = scope["path"]
        if path in self._exact or (self._below and path.startswith(self._below)):
            return True
        return self._key.admits(Headers(scope=scope).get(HEADER) or self._of_query(scope))

    @staticmethod
    def _of_query(scope: Scope) -> str | None:
        """Browsers cannot set headers of websockets and event streams; elsewhere a key does not
        belong into an address, which ends up in logs."""
        if scope["type"] != "websocket" and not scope["path"].endswith("/events/stream"):
            return None
        return QueryParams(scope["query_string"]).get(HEADER.lower())


def _sha512(value: bytes) -> str:
    return hashlib.sha512(value).hexdigest()
