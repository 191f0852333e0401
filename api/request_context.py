"""The outermost layer of a request: its id, its deadline, and the last resort for exceptions."""

from __future__ import annotations

import contextlib
import random
import re
import time
from datetime import timedelta
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import console
from api.problems import problem_response, unforeseen
from api.routers import observability
from api.security.caller import header_of
from cluster.domain.errors import Unavailable
from cluster.telemetry.request_id import REQUEST_ID
from cluster.telemetry.tracing import carried, enabled, span
from cluster.timers import EqualTimers, Timeout

__all__ = ["ANSWERED_DIRECTLY", "RequestContextMiddleware"]

log = structlog.get_logger(__name__)

#: In the state of a request that comes from its client without a part of Ray Serve's in between.
ANSWERED_DIRECTLY = "answered_directly"
_HEADER = b"x-request-id"
_STREAM = b"text/event-stream"
_OK = 200
_NO_SPAN: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
_SAFE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}\Z")


class RequestContextMiddleware:
    """Every request has an id (the caller's `X-Request-Id` when it is a sane one) in its scope, its
    logs and its answer; ends within `timeout`; and gets a problem body whatever happens.

    Ray Serve's proxy sets the header on the request and on the answer itself
    (ray/serve/_private/http_util.py, RequestIdMiddleware), so an id that came in through it is not
    sent back twice.
    """

    def __init__(self, app: ASGIApp, *, timeout: timedelta) -> None:
        self._app = app
        self._seconds = timeout.total_seconds()
        self._timers = EqualTimers(self._seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["query_string"] = _without_empty(scope["query_string"])
        given = header_of(scope, _HEADER)
        request_id = given if given and _SAFE_ID.match(given) else f"{random.getrandbits(128):032x}"
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        if len(scope["path"]) > 1 and scope["path"] != console.PAGE:
            # WAHA's documentation writes some paths with a slash at the end, Express ignores it.
            # The console's page is below its slash, as what it loads is relative to it.
            scope["path"] = scope["path"].rstrip("/") or "/"
        status = 0

        async def tracked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                said = list(message.get("headers", ()))
                for name, value in said:
                    if name == b"content-type" and value.startswith(_STREAM):
                        # It lasts as long as its reader wants.
                        deadline.lift()
                if own:
                    said = [one for one in said if one[0] not in own]
                    message["headers"] = said + list(own.items())
            await send(message)

        begun = time.perf_counter()
        outside = REQUEST_ID.set(request_id)
        with _span_of(scope) if enabled() else _NO_SPAN as here:
            own = {name.encode(): value.encode() for name, value in carried().items()}
            if given is None or ANSWERED_DIRECTLY in state:
                own[_HEADER] = request_id.encode()
            try:
                with Timeout(self._timers) as deadline:
                    await self._app(scope, receive, tracked)
            except Exception as error:
                if status:
                    raise
                if isinstance(error, TimeoutError) and deadline.expired:
                    late = Unavailable(
                        f"not done within {self._seconds:g} s; whether it was "
                        "done is unknown: repeat it under the same Idempotency-Key",
                        retry_after=1,
                    )
                    await problem_response(late, request_id)(scope, receive, tracked)
                else:
                    log.exception("http.unforeseen", **_facts(scope))
                    await unforeseen(request_id)(scope, receive, tracked)
            finally:
                if here is not None:
                    here.update_name(f"{scope['method']} {_facts(scope)['route']}".rstrip())
                    here.set_attributes(
                        {
                            "http.request.method": scope["method"],
                            "http.route": _facts(scope)["route"],
                            "http.response.status_code": status,
                            "gateway.request_id": request_id,
                        }
                    )
                milliseconds = round((time.perf_counter() - begun) * 1000, 1)
                # Probes that succeed, every few seconds, are nobody's news.
                quiet = status == _OK and scope["path"] in observability.PUBLIC
                if not quiet:
                    log.info("http.request", status=status, ms=milliseconds, **_facts(scope))
                REQUEST_ID.reset(outside)


def _without_empty(query: bytes) -> bytes:
    """Generated clients and n8n write `exclude=&limit=` for what nobody chose."""
    if not (b"=&" in query or query.endswith(b"=")):
        return query
    return b"&".join(part for part in query.split(b"&") if part.partition(b"=")[2])


def _span_of(scope: Scope) -> contextlib.AbstractContextManager[Any]:
    return span(f"HTTP {scope['method']}", _trace_of(scope), kind="server")


def _trace_of(scope: Scope) -> dict[str, str] | None:
    """W3C Trace Context that came along."""
    return {
        name: value
        for name in ("traceparent", "tracestate")
        if (value := header_of(scope, name.encode()))
    } or None


def _facts(scope: Scope) -> dict[str, str]:
    # The route's template, not the path: paths hold phone numbers.
    route = getattr(scope.get("route"), "path", "")
    return {"method": scope["method"], "route": route}
