"""Streams: nobody listens to sessions of others, or longer than a key is good."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest
from attack_front import OPERATOR_KEY, Front
from waiting import stays

from cluster.domain.session import SessionRecord


async def websocket(front: Front, query: str, seconds: float) -> list[dict[str, Any]]:
    """What the application says on a websocket until it closes or time is up."""
    said: list[dict[str, Any]] = []
    first = [{"type": "websocket.connect"}]

    async def receive() -> dict[str, Any]:
        if first:
            return first.pop()
        return await asyncio.Future()

    async def send(message: MutableMapping[str, Any]) -> None:
        said.append(dict(message))

    scope = {"type": "websocket", "path": "/ws", "raw_path": b"/ws", "headers": [], "scheme": "ws"}
    scope |= {"query_string": query.encode(), "client": ("203.0.113.9", 1), "subprotocols": []}
    try:
        async with asyncio.timeout(seconds):
            await front.app(scope, receive, send)
    except TimeoutError:
        said.append({"type": "open still"})
    return said


async def test_a_websocket_hears_no_session_of_others(front: Front, victim: SessionRecord) -> None:
    made = await front.operator().post("/api/keys/control", json={"session": "mine"})
    blind = await websocket(front, f"x-api-key={made.json()['key']}", 5)
    assert blind[0]["type"] == "websocket.http.response.start", "not accepted: it may not read"
    assert blind[0]["status"] == 403
    key = {"isAdmin": False, "session": "mine"}
    made = await front.operator().post("/api/keys", json=key)
    said = await websocket(front, f"session={victim.name}&x-api-key={made.json()['key']}", 10)
    assert said[-1]["type"] == "websocket.close"
    assert not [m for m in said if m["type"] == "websocket.send"]


async def test_a_stream_ends_when_its_key_is_taken_back(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.security.middleware._RECHECK_SECONDS", 0.2)
    monkeypatch.setattr("api.security.authenticator.KEPT_SECONDS", 0.0)
    operator = front.operator()
    made = (await operator.post("/api/keys", json={"isAdmin": True})).json()
    listening = asyncio.create_task(websocket(front, f"x-api-key={made['key']}", 20))
    await stays(lambda: not listening.done(), 1)
    await operator.delete(f"/api/keys/{made['id']}")
    said = await listening
    assert said[-1] == {"type": "websocket.close", "code": 1008, "reason": "Unauthorized"}


@pytest.mark.parametrize("query", ["events=nonsense", "session=nobody-of-that-name", "after=1"])
async def test_what_can_never_be_heard_is_not_to_be_tried_again(front: Front, query: str) -> None:
    said = await websocket(front, f"{query}&x-api-key={OPERATOR_KEY}", 10)
    assert said[-1]["type"] == "websocket.close"
    assert said[-1]["code"] == 4001, said
