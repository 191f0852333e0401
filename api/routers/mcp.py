"""The Model Context Protocol over streamable HTTP."""

from __future__ import annotations

import asyncio
import importlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from api.problems import MalformedJson, responses
from api.router import Router
from api.security.caller import principal_of
from api.strict_json import parse_json
from cluster.domain.errors import Invalid, Unauthorized, Unavailable

__all__ = ["CallSlots", "router"]

router = Router(tags=["🧩 Apps"])

#: Requests that a replica works on at a time, of all callers and of one.
_MOST, _MOST_OF_ONE = 64, 16
_EXAMPLE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "list_sessions", "arguments": {}},
}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"type": "object", "title": "JSON-RPC message"}}
            | {"example": _EXAMPLE}
        },
    },
    "responses": {
        "200": {
            "description": "JSON-RPC response.",
            "content": {"application/json": {"schema": {"type": "object"}}},
        },
        "202": {"description": "A notification was taken."},
    },
}


class CallSlots:
    """Who waits for an answer. Belongs to one event loop."""

    def __init__(self) -> None:
        self._of: Counter[str] = Counter()

    @property
    def busy(self) -> int:
        return self._of.total()

    @contextmanager
    def held(self, who: str) -> Iterator[None]:
        """Raises `Unavailable` when no slot is left."""
        if self.busy >= _MOST or self._of[who] >= _MOST_OF_ONE:
            raise Unavailable("too many requests to /mcp are under way", retry_after=1)
        self._of[who] += 1
        try:
            yield
        finally:
            self._of[who] -= 1
            if not self._of[who]:
                del self._of[who]


class _Served(Response):
    """The SDK answers by itself."""

    def __init__(self, body: bytes, slots: CallSlots, who: str) -> None:
        super().__init__()
        self._given, self._slots, self._who = body, slots, who

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        read = [{"type": "http.request", "body": self._given, "more_body": False}]

        async def replayed() -> Any:
            return read.pop() if read else await receive()

        with self._slots.held(self._who):
            server = await asyncio.to_thread(importlib.import_module, "api.mcp.server")
            await server.serve(scope, replayed, send)


@router.post(
    "/mcp",
    operation_id="Mcp_post",
    summary="Model Context Protocol",
    description="For agents: an MCP server (streamable HTTP, stateless). Its tools are those that "
    "the key allows; see docs/agents.md.",
    response_class=Response,
    responses=responses(Invalid, MalformedJson, Unauthorized, Unavailable),
    openapi_extra=_BODY,
)
async def post(request: Request) -> Response:
    body = await request.body()
    if not isinstance(parse_json(body), dict):
        raise Invalid("the body is one JSON-RPC message: batches are not taken", field="body")
    slots: CallSlots = request.app.state.mcp_slots
    return _Served(body, slots, principal_of(request).who)
