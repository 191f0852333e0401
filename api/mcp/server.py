"""The SDK's server over the tools. Stateless: a request is whole in itself, so that any replica
answers it; no session is kept and no stream stays open."""

from __future__ import annotations

import json
import re
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    ToolAnnotations,
)
from mcp_types import Tool as ShownTool
from pydantic import ValidationError
from starlette.types import Receive, Scope, Send

from api.mcp.inner import Answer, InnerRequest, ask
from api.mcp.tools import Found, Tool, visible
from api.security.caller import ToolCall, known_principal
from cluster.domain.errors import BodyTooLarge, Unauthorized
from cluster.domain.principal import Principal

__all__ = ["serve"]

_NAME = "whatsapp-session-gateway"
_INSTRUCTIONS = (
    "Reads and writes WhatsApp. Ids of chats end in @c.us (a person), @lid (a person whose number "
    "is hidden) or @g.us (a group); a plain number with its country code is taken as well. Long "
    "lists come in pages: follow nextCursor or nextOffset. What is sent cannot be taken back "
    "unseen, and may wait for sending limits: the answer says so."
)
#: Fields of WAHA's shapes that say what another says, or nothing to an agent.
_REDUNDANT_FIELDS = frozenset({"mediaUrl", "author", "vCards"})
_NAMED = re.compile(r"{(\w+)}")

_Context = ServerRequestContext[Any, Any]


async def serve(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request of a client. `scope` is that of a caller who is known."""
    caller = _Caller(scope)
    server: Server[dict[str, Any]] = Server(
        _NAME,
        version=scope["app"].version,
        instructions=_INSTRUCTIONS,
        on_list_tools=caller.list_tools,
        on_call_tool=caller.call_tool,
    )
    # Of one request: nothing is left of it, and no task outlives it.
    manager = StreamableHTTPSessionManager(server, json_response=True, stateless=True)
    async with manager.run():
        await manager.handle_request(scope, receive, send)


class _Caller:
    """What one caller may list and call."""

    def __init__(self, scope: Scope) -> None:
        principal = known_principal(scope)
        if principal is None:
            raise Unauthorized
        self._scope = scope
        self._tools = {tool.name: tool for tool in visible(principal)}
        self._only = _only_session(principal)

    async def list_tools(
        self, context: _Context, params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        return ListToolsResult(tools=[self._shown(tool) for tool in self._tools.values()])

    def _shown(self, tool: Tool) -> ShownTool:
        return ShownTool(
            name=tool.name,
            description=tool.description,
            input_schema=tool.schema(session=self._only),
            annotations=ToolAnnotations(
                read_only_hint=tool.reads, destructive_hint=False, open_world_hint=True
            ),
        )

    async def call_tool(self, context: _Context, params: CallToolRequestParams) -> CallToolResult:
        tool = self._tools.get(params.name)
        if tool is None:
            return _refused(
                "There is no such tool, or the key does not allow it: tools/list has those it does"
            )
        given = dict(params.arguments or {})
        if self._only is not None and "session" in tool.arguments.model_fields:
            given.setdefault("session", self._only)
        try:
            arguments = tool.arguments.model_validate(given)
        except ValidationError as error:
            return _refused(_errors_of(error))
        asked = arguments.model_dump(exclude_none=True)
        request = _request(tool, arguments.model_dump(exclude_none=True, by_alias=True))
        try:
            answer = await ask(self._scope, request)
        except BodyTooLarge as error:
            return _refused(error.detail)
        if answer.status >= 400:
            return _refused(_problem(answer))
        found = Found(body=answer.json(), headers=answer.headers, asked=asked)
        return CallToolResult(content=[_text(_brief(tool.shape(found)))])


def _only_session(principal: Principal) -> str | None:
    """The session that goes without saying."""
    sessions = principal.sessions
    return next(iter(sessions)) if sessions is not None and len(sessions) == 1 else None


def _request(tool: Tool, arguments: dict[str, Any]) -> InnerRequest:
    session = str(arguments.get("session", ""))
    key = arguments.pop("idempotencyKey", None)
    path = tool.path.replace("{kind}", str(arguments.get("kind", "")).capitalize())
    rest = tool.body(arguments)
    for name in _NAMED.findall(path):
        path = path.replace(f"{{{name}}}", str(rest.pop(name)))
    return InnerRequest(
        tool=ToolCall(name=tool.name, session=session),
        method=tool.method,
        path=path,
        query={**tool.query, **(rest if tool.reads else {})},
        body=rest if not tool.reads and rest else None,
        idempotency_key=key,
    )


def _brief(value: Any) -> Any:
    """Without what is empty or says the same again: an agent pays for every word."""
    if isinstance(value, dict):
        return {
            name: short
            for name, inner in value.items()
            if not name.startswith("_") and name not in _REDUNDANT_FIELDS
            if (short := _brief(inner)) not in (None, "", [], {})
        }
    return [_brief(inner) for inner in value] if isinstance(value, list) else value


def _text(value: Any) -> TextContent:
    return TextContent(text=json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _refused(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=text)], is_error=True)


def _errors_of(error: ValidationError) -> str:
    # The values themselves stay out: they can be phone numbers or secrets.
    found = [(".".join(map(str, one["loc"])), one["msg"]) for one in error.errors()[:5]]
    return "; ".join(f"{place}: {message}" for place, message in found)


def _problem(answer: Answer) -> str:
    """The problem's own words."""
    problem = answer.json()
    text = f"{problem['statusCode']} {problem['code']}: {problem['detail']}"
    if hint := problem.get("hint"):
        text += f" ({hint})"
    if after := answer.headers.get("retry-after"):
        text += f" Try again after {after} s."
    return text
