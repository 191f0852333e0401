"""An agent's client at the front door: what it sends arrives at the other side's phone."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import httpx2
import pytest
from foreign.installing import node_packages
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from people import People
from running_gateway import until


async def _call(client: Client, name: str, **arguments: Any) -> tuple[bool, Any]:
    result = await client.call_tool(name, arguments)
    text = result.content[0].text  # type: ignore[union-attr]
    return result.is_error, text if result.is_error else json.loads(text)


async def test_an_agent_sends_and_reads_within_its_key(people: People) -> None:
    url = f"{people.gateway.state.url}/mcp"
    made = people.waha.apps.create(
        {
            "session": people.alice.session,
            "app": "mcp",
            "config": {"actions": {"read": True, "send": True}},
        }
    )
    key = made["config"]["key"]
    async with (
        httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {key}"}, timeout=60, trust_env=False
        ) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        for _ in range(2):  # as an agent does that has not heard of the first
            refused, sent = await _call(
                client,
                "send_text",
                chatId=people.bob.chat,
                text="from an agent",
                idempotencyKey="agent-1",
            )
            assert not refused, sent
        until(lambda: "from an agent" in people.bob.phone.texts(), what="the agent's text")
        refused, page = await _call(client, "read_messages", chatId=people.bob.chat, limit=5)
        assert not refused, page
        assert [one["id"] for one in page["items"] if one["body"] == "from an agent"] == [
            sent["id"]
        ]
        assert not (await _call(client, "send_reaction", messageId=sent["id"], reaction="👍"))[0]
        refused, answer = await _call(
            client, "send_text", session=people.bob.session, chatId=people.alice.chat, text="x"
        )
        assert refused
        assert answer.startswith("404 session_not_found")
    assert people.bob.phone.texts().count("from an agent") == 1
    audit = people.gateway.api.get("/api/audit", params={"limit": 20}).json()
    noted = [one for one in audit if one["action"].startswith("MCP send_text")]
    assert {one["session"] for one in noted} >= {people.alice.session}
    # The key goes with the app.
    people.waha.apps.delete(made["id"])
    gone = {one["id"] for one in people.waha.api_keys.list()}
    assert made["config"]["key_id"] not in gone


def test_apps_are_looked_after(people: People) -> None:
    apps, session = people.waha.apps, people.alice.session
    wanted = {"session": session, "app": "mcp", "config": {"actions": {"read": True}}}
    made = apps.update("mine", wanted)
    assert made["config"]["key"].startswith("key_")
    assert [one["id"] for one in apps.list({"session": session})] == ["mine"]
    assert not apps.update("mine", wanted | {"enabled": False})["enabled"]
    keys = {one["id"]: one for one in people.waha.api_keys.list()}
    assert not keys[made["config"]["key_id"]]["isActive"]
    assert people.refused("POST", f"/api/apps/mcp/{session}/purge")[0] == 404
    apps.update("mine", wanted)
    assert apps.purge("mine")["id"] == apps.purge_unique_app("mcp", session)["id"] == "mine"
    assert apps.get("mine")["config"]["key_id"] == made["config"]["key_id"]
    apps.delete("mine")
    assert apps.list({"session": session}) == []


def test_the_generated_client_reaches_the_tools(people: People) -> None:
    listed = people.waha.mcp.post(
        json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
        headers={"Accept": "application/json, text/event-stream"},
    )
    assert "send_text" in {tool["name"] for tool in listed["result"]["tools"]}


@pytest.mark.skipif(
    not os.environ.get("GATEWAY_SLOW_TESTS"),
    reason="installs a package of others: GATEWAY_SLOW_TESTS",
)
def test_the_inspector_finds_and_calls_the_tools(people: People) -> None:
    folder = node_packages("inspector")
    program = folder / "node_modules/@modelcontextprotocol/inspector/cli/build/cli.js"

    def inspect(*arguments: str) -> Any:
        done = subprocess.run(
            [
                *("node", str(program), "--cli", f"{people.gateway.state.url}/mcp"),
                *("--transport", "http"),
                *("--header", f"X-Api-Key: {people.gateway.state.api_key}", *arguments),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    names = {tool["name"] for tool in inspect("--method", "tools/list")["tools"]}
    assert {"send_text", "search_messages"} <= names
    sending = ["--method", "tools/call", "--tool-name", "send_text"]
    for name, value in {
        "session": people.alice.session,
        "chatId": people.bob.chat,
        "text": "from the inspector",
    }.items():
        sending += ["--tool-arg", f"{name}={value}"]
    assert not inspect(*sending).get("isError")
    until(lambda: "from the inspector" in people.bob.phone.texts(), what="the inspector's text")
