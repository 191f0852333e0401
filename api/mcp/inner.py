"""A request to a route of this application, made inside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import Headers
from starlette.types import Message, Scope

from api.security.caller import TOOL, ToolCall
from cluster.domain.errors import BodyTooLarge

__all__ = ["Answer", "InnerRequest", "ask"]

#: Bytes of an answer: more than the largest page of any tool.
_MOST = 8 << 20
#: Of the outer request; the others describe its body, its connection or its protocol.
_KEPT = frozenset({b"x-api-key", b"authorization", b"host", b"traceparent", b"tracestate"})


@dataclass(frozen=True, kw_only=True, slots=True)
class InnerRequest:
    """What to ask, and for which tool."""

    tool: ToolCall
    method: str
    path: str
    query: dict[str, Any]
    body: Any = None
    idempotency_key: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What the route answered."""

    status: int
    headers: Headers
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body) if self.body else None


async def ask(outer: Scope, request: InnerRequest) -> Answer:
    """Ask as the caller of `outer`, through all that stands before a route. Raises `BodyTooLarge`
    for an answer that is."""
    body = b"" if request.body is None else json.dumps(request.body).encode()
    state = outer["state"]
    headers = [one for one in outer["headers"] if one[0] in _KEPT]
    headers += [(b"x-request-id", state["request_id"].encode())]
    if body:
        headers += [(b"content-type", b"application/json")]
        headers += [(b"content-length", str(len(body)).encode())]
    if request.idempotency_key is not None:
        headers += [(b"idempotency-key", request.idempotency_key.encode())]
    query = {name: _written(value) for name, value in request.query.items()}
    scope: Scope = {
        "type": "http",
        "asgi": outer["asgi"],
        "http_version": "1.1",
        "method": request.method,
        "scheme": outer["scheme"],
        "path": request.path,
        "raw_path": request.path.encode(),
        "root_path": outer.get("root_path", ""),
        "query_string": urlencode(query).encode(),
        "headers": headers,
        # Whom the front door found behind the proxies.
        "client": (state["address"], 0),
        "server": outer.get("server"),
        "state": {TOOL: request.tool},
    }
    received = [{"type": "http.request", "body": body, "more_body": False}]
    status, answered, parts, size = 500, Headers(), [b""], 0

    async def receive() -> Message:
        return received.pop() if received else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal status, answered, size
        if message["type"] == "http.response.start":
            status, answered = message["status"], Headers(raw=message["headers"])
        elif message["type"] == "http.response.body":
            size += len(message.get("body", b""))
            if size <= _MOST:
                parts.append(message.get("body", b""))

    await outer["app"](scope, receive, send)
    if size > _MOST:
        raise BodyTooLarge("the answer is too large for a tool: ask for less")
    return Answer(status=status, headers=answered, body=b"".join(parts))


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
