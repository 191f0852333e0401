"""/mcp with the SDK's own client: what a key allows is what its agent can list and call."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import httpx
import httpx2
import pytest
from fake_gateway import KEY, FakeGateway
from pydantic import SecretStr

from api.app import create_app
from api.gateway import GatewayFactory
from api.mcp.tools import FILE_KINDS, TOOLS
from api.routers import mcp as route
from cluster.domain.principal import SCOPES
from cluster.settings import HttpSettings

if TYPE_CHECKING:
    from mcp.client import Client

URL = "http://gateway/mcp"
BOB = "4915100002@c.us"
READING = {
    *("list_sessions", "get_sending", "list_chats", "read_messages", "get_message"),
    *("search_messages", "find_contacts", "get_contact", "check_number", "find_groups"),
    "get_group",
}
SENDING = {"send_text", "send_reply", "send_file", "send_reaction", "mark_read"}


@pytest.fixture(scope="module")
def made() -> tuple[Any, list[FakeGateway]]:
    """One application: it takes seconds to make. Its gateway is that of the test."""
    gateways: list[FakeGateway] = []
    settings = HttpSettings(api_key=SecretStr(KEY), max_body_bytes=65536)
    return create_app(cast("GatewayFactory", lambda: gateways[-1]), settings), gateways


@pytest.fixture
def app(made: tuple[Any, list[FakeGateway]], gateway: FakeGateway) -> Any:
    made[1].append(gateway)
    return made[0]


@asynccontextmanager
async def agent(app: Any, headers: dict[str, str]) -> AsyncIterator[Client]:
    # A second to load, for whoever runs these tests alone.
    from mcp.client import Client
    from mcp.client.streamable_http import streamable_http_client

    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), headers=headers) as http,
        Client(streamable_http_client(URL, http_client=http)) as client,
    ):
        yield client


@asynccontextmanager
async def with_key(
    app: Any, gateway: FakeGateway, scopes: Sequence[str], session: str | None = "working"
) -> AsyncIterator[Client]:
    actions = frozenset().union(*(SCOPES[scope] for scope in scopes))
    _, secret = await gateway.keys.create(session=session, actions=actions)
    async with agent(app, {"Authorization": f"Bearer {secret}"}) as client:
        yield client


async def names(client: Client) -> set[str]:
    return {tool.name for tool in (await client.list_tools()).tools}


async def call(client: Client, name: str, **arguments: Any) -> tuple[bool, Any]:
    """(whether it was refused, what it said)."""
    result = await client.call_tool(name, arguments)
    text = result.content[0].text  # type: ignore[union-attr]
    return result.is_error, text if result.is_error else json.loads(text)


async def test_the_operator_sees_every_tool(app: Any) -> None:
    async with agent(app, {"X-Api-Key": KEY}) as client:
        assert await names(client) == READING | SENDING == {tool.name for tool in TOOLS}
        refused, answer = await call(client, "list_sessions")
        assert not refused
        assert {one["name"]: one["status"] for one in answer}["working"] == "WORKING"


@pytest.mark.parametrize(
    ("scopes", "tools"),
    [
        (["read"], READING),
        (["send"], SENDING | {"list_sessions"}),
        (["read", "send"], READING | SENDING),
        (["control"], {"list_sessions"}),
        (["media"], set()),
    ],
)
async def test_tools_are_those_of_the_key(
    app: Any, gateway: FakeGateway, scopes: list[str], tools: set[str]
) -> None:
    async with with_key(app, gateway, scopes) as client:
        assert await names(client) == tools
        for hidden in sorted((READING | SENDING) - tools):
            refused, answer = await call(client, hidden, chatId=BOB, text="x")
            assert refused, hidden
            assert "does not allow" in answer
    assert gateway.sends == []


async def test_the_session_of_a_key_goes_without_saying(app: Any, gateway: FakeGateway) -> None:
    async with with_key(app, gateway, ["send"]) as client:
        text = next(t for t in (await client.list_tools()).tools if t.name == "send_text")
        assert "session" not in text.input_schema["properties"]
        assert "session" not in text.input_schema["required"]
        refused, sent = await call(
            client, "send_text", chatId=BOB, text="hi", idempotencyKey="once"
        )
        assert not refused
        assert sent["ack"] == 1
        refused, answer = await call(client, "send_text", session="stopped", chatId=BOB, text="hi")
        assert refused
        assert answer.startswith("404 session_not_found: ")
    assert [one["idempotency_key"] for one in gateway.sends] == ["once"]


async def test_what_an_agent_sends_is_in_the_audit_log(app: Any, gateway: FakeGateway) -> None:
    async with with_key(app, gateway, ["read", "send"]) as client:
        await call(client, "send_text", chatId=BOB, text="hi")
        await call(client, "send_text", session="stopped", chatId=BOB, text="hi")
        await call(client, "list_chats")
    noted = [(one.action, one.session, one.status) for one in gateway.keys.entries]
    assert noted == [
        ("MCP send_text: POST /api/sendText", "working", 201),
        ("MCP send_text: POST /api/sendText", "stopped", 404),
    ]
    assert {one.who for one in gateway.keys.entries} == {
        record.id for record in gateway.keys.records.values()
    }


async def test_errors_are_the_problems_texts(app: Any) -> None:
    async with agent(app, {"X-Api-Key": KEY}) as client:
        for arguments, text in (
            ({"session": "stopped", "chatId": BOB, "text": "x"}, "422 session_not_working: "),
            ({"session": "stopped", "chatId": BOB, "text": "x"}, "start it: POST"),
            ({"session": "working", "chatId": "nobody", "text": "x"}, "422 invalid: "),
            ({"session": "working", "text": "x"}, "chatId: Field required"),
            ({"session": "working", "chatId": BOB, "text": "x", "to": "y"}, "to: Extra inputs"),
            ({"session": "../x", "chatId": BOB, "text": "x"}, "session: "),
            ({"session": "working", "chatId": "a/../b", "text": "x"}, "chatId: "),
        ):
            refused, answer = await call(client, "send_text", **arguments)
            assert refused
            assert text in answer


async def test_pages_and_short_answers(app: Any, gateway: FakeGateway) -> None:
    async with with_key(app, gateway, ["read"]) as client:
        _, page = await call(client, "read_messages", chatId=BOB, limit=5, fromMe=False)
        assert page["items"][0]["body"] == "hello"
        assert not any(name.startswith("_") for name in page["items"][0])
        assert (gateway.filters[-1].limit, gateway.filters[-1].from_me) == (5, False)
        _, found = await call(client, "search_messages", q="hell", limit=1)
        assert found["messages"][0]["body"] == "hello"
        _, people = await call(client, "find_contacts", q="bob", limit=1)
        assert people["items"][0]["name"] == "Bob B"
        assert people["nextOffset"] == 1
        assert (await call(client, "find_contacts", q="nobody"))[1] == {}
        _, groups = await call(client, "find_groups", q="FRIENDS")
        assert "nextOffset" not in groups
        refused, answer = await call(client, "read_messages", chatId=BOB, limit=101)
        assert refused
        assert answer.startswith("limit: ")


def test_each_tool_asks_a_route_for_what_it_takes(document: dict[str, Any]) -> None:
    for tool in TOOLS:
        for kind in FILE_KINDS if "{kind}" in tool.path else ("",):
            path = tool.path.replace("{kind}", kind.capitalize())
            operation = document["paths"][path][tool.method.lower()]
            known = {one["name"] for one in operation.get("parameters", ())} | {"Idempotency-Key"}
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            for choice in [body.get("schema", {}), *body.get("schema", {}).get("anyOf", ())]:
                schema = document["components"]["schemas"].get(
                    choice.get("$ref", "").rpartition("/")[2], choice
                )
                known |= schema.get("properties", {}).keys()
            sent = {
                field.serialization_alias or name
                for name, field in tool.arguments.model_fields.items()
            }
            ours = {"idempotencyKey", "kind", "url", "data", "filename", "mimetype"}
            if kind == "voice":
                ours.add("caption")  # refused before it is asked for
            assert sent - ours <= known, (tool.name, path)


HOSTILE: list[tuple[bytes, set[int]]] = [
    (b"", {400}),
    (b"nonsense", {400}),
    (b"[]", {422}),
    (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', {422}),
    (b"null", {422}),
    (b"{}", {400}),
    (b'{"jsonrpc":"2.0","id":{"a":1},"method":"ping"}', {202, 400}),
    (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":[]}', {200, 400}),
    (b'{"jsonrpc":"2.0","id":1,"method":"no/such"}', {200, 400, 404}),
    (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":5}}', {200, 400}),
    (b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}', {202}),
    (b'{"jsonrpc":"2.0","id":1,"result":{}}', {202, 400}),
    (b'{"jsonrpc":"2.0","id":NaN,"method":"ping"}', {422}),
    (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":' + b"[" * 40 + b"]" * 40 + b"}", {422}),
    (b'{"jsonrpc":"2.0","id":1,"method":"' + b"x" * 70000 + b'"}', {413}),
    (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"\\ud800"}}', {422}),
]


@pytest.mark.parametrize("version", [None, "2025-06-18", "2026-07-28", "nonsense"])
async def test_nonsense_is_answered_and_harms_nobody(app: Any, version: str | None) -> None:
    headers = {"X-Api-Key": KEY, "Content-Type": "application/json"}
    headers["Accept"] = "application/json, text/event-stream"
    if version:
        headers["MCP-Protocol-Version"] = version
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://gateway", headers=headers
        ) as client,
    ):
        for body, statuses in HOSTILE:
            answer = await client.post("/mcp", content=body)
            expected = statuses | ({400, 404} if version else set())
            assert answer.status_code in expected, (body[:80], answer.text)
            assert app.state.mcp_slots.busy == 0


async def test_there_are_no_streams_and_no_strangers(app: Any) -> None:
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://gateway"
        ) as client,
    ):
        ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        for headers in ({}, {"X-Api-Key": "wrong"}, {"Authorization": f"Bearer key_{'x' * 43}"}):
            assert (await client.post("/mcp", json=ping, headers=headers)).status_code == 401
        key = {"X-Api-Key": KEY, "Accept": "text/event-stream"}
        assert (await client.get("/mcp", headers=key)).status_code == 405
        assert (await client.delete("/mcp", headers=key)).status_code == 405


async def test_one_caller_does_not_take_all_places(
    app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(route, "_MOST_OF_ONE", 0)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://gateway"
        ) as client,
    ):
        answer = await client.post("/mcp", json={}, headers={"X-Api-Key": KEY})
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "1"
