"""What the HTTP front refuses, and how it says so."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fake_gateway import KEY, LIMIT, FakeGateway

from cluster.domain.errors import NotOnWhatsApp, NotOwner, Unavailable, WhatsAppRefused

HOOK = {"url": "https://example.com/hook", "events": ["message"]}
TEXT = {"session": "working", "chatId": "4915100002@c.us", "text": "hi"}


@pytest.mark.parametrize("key", [None, "", "wrong", KEY + "x"])
@pytest.mark.parametrize("path", ["/api/sessions", "/api/version", "/api/working/auth/qr", "/nope"])
async def test_without_the_key_nothing_is_revealed(
    stranger: httpx.AsyncClient, path: str, key: str | None
) -> None:
    answer = await stranger.get(path, headers={} if key is None else {"X-Api-Key": key})
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["statusCode"] == 401


async def test_health_without_a_key_shows_the_state_only(
    stranger: httpx.AsyncClient, gateway: FakeGateway
) -> None:
    gateway.store_ok = False
    answer = await stranger.get("/health")
    assert answer.status_code == 503
    assert answer.json() == {"status": "error", "info": {}, "error": {}, "details": {}}
    detailed = await stranger.get("/health", headers={"X-Api-Key": KEY})
    assert detailed.json()["error"] == {"postgresql": {"status": "down", "latency_ms": 1.2}}
    assert (await stranger.get("/ping")).json() == {"message": "pong"}


async def test_an_unknown_session_is_404(caller: httpx.AsyncClient) -> None:
    for answer in (
        await caller.get("/api/sessions/nobody"),
        await caller.post("/api/sessions/nobody/start"),
        await caller.delete("/api/sessions/nobody"),
        await caller.get("/api/nobody/chats/all/messages"),
        await caller.post("/api/sendText", json=TEXT | {"session": "nobody"}),
    ):
        assert answer.status_code == 404
        assert answer.json()["code"] == "session_not_found"


@pytest.mark.parametrize("name", ["a" * 65, "a b", "a.b", "é", "%00", "a%0A"])
async def test_a_bad_session_name_is_refused_everywhere(
    caller: httpx.AsyncClient, gateway: FakeGateway, name: str
) -> None:
    before = dict(gateway.records)
    for answer in (
        await caller.get(f"/api/sessions/{name}"),
        await caller.get(f"/api/{name}/auth/qr"),
        await caller.get(f"/api/{name}/chats/all/messages"),
        await caller.get(f"/api/messages?chatId=all&session={name}"),
        await caller.post("/api/sessions", json={"name": name}),
        await caller.post("/api/sendText", json=TEXT | {"session": name}),
    ):
        assert answer.status_code == 422
        assert answer.json()["field"] in {"session", "name"}
    assert gateway.records == before


async def test_a_session_that_does_not_work_is_wahas_422(
    caller: httpx.AsyncClient, gateway: FakeGateway
) -> None:
    answer = await caller.post("/api/sendText", json=TEXT | {"session": "stopped"})
    assert answer.status_code == 422
    body = answer.json()
    assert body["error"].startswith("Session status is not as expected")
    assert body["session"] == "stopped"
    assert body["status"] == "STOPPED"
    assert body["expected"] == ["WORKING"]
    assert body["hint"] == "start it: POST /api/sessions/stopped/start"
    assert body["statusCode"] == 422
    qr = await caller.get("/api/working/auth/qr")
    assert (qr.status_code, qr.json()["expected"]) == (422, ["SCAN_QR_CODE"])
    assert gateway.sends == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"chatId": "x@c.us"}, "chatId"),
        ({"chatId": "4915100002@evil"}, "chatId"),
        ({"chatId": None}, "chatId"),
        ({"chatId": 1}, "chatId"),
        ({"text": ""}, "text"),
        ({"text": ["a"]}, "text"),
        ({"text": "a\0b"}, "text"),
        ({"text": "\ud800"}, "text"),
        ({"reply_to": "???"}, "reply_to"),
        ({"mentions": ["nobody"]}, "mentions"),
        ({"id": "short"}, "id"),
    ],
)
async def test_a_malformed_value_is_named_and_nothing_is_sent(
    caller: httpx.AsyncClient, gateway: FakeGateway, change: dict[str, Any], field: str
) -> None:
    answer = await caller.post(
        "/api/sendText",
        content=json.dumps(TEXT | change),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 422
    assert answer.json()["field"] == field
    assert gateway.sends == []


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{", 400), (b"\xff", 400), (b"[" * 2000, 422), (b'{"text":NaN}', 422), (b"[]", 422)],
)
async def test_what_is_no_json_object_is_refused(
    caller: httpx.AsyncClient, body: bytes, status: int
) -> None:
    answer = await caller.post(
        "/api/sendText", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code in {status, 400}
    assert answer.json()["message"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/sessions/import", {"name": "a", "source": "archive", "data": "\u00fc\u00db"}),
        ("/api/sessions", {"config": {"webhooks": [HOOK | {"url": "http://:80/"}]}}),
        (
            "/api/sessions",
            {
                "config": {
                    "webhooks": [HOOK | {"customHeaders": [{"name": "X", "value": "\u00e6"}]}]
                }
            },
        ),
        ("/api/sessions", {"config": {"webhooks": [HOOK | {"retries": {"delaySeconds": 1e308}}]}}),
    ],
)
async def test_what_cannot_be_sent_on_is_refused_at_the_door(
    caller: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    """Found by schemathesis: each was a server error, here or later."""
    assert (await caller.post(path, json=body)).status_code == 422


async def test_unknown_fields_are_ignored_as_waha_does(caller: httpx.AsyncClient) -> None:
    answer = await caller.post("/api/sendText", json=TEXT | {"unheardOf": 1})
    assert answer.status_code == 201


async def _chunks(total: int) -> AsyncIterator[bytes]:
    yield b'{"session":"working","chatId":"4915100002@c.us","text":"'
    for _ in range(total // 512):
        yield b"a" * 512
    yield b'"}'


async def test_a_body_over_the_limit_is_413_declared_or_chunked(
    caller: httpx.AsyncClient, gateway: FakeGateway
) -> None:
    typed = {"Content-Type": "application/json"}
    declared = await caller.post("/api/sendText", json=TEXT | {"text": "a" * LIMIT})
    chunked = await caller.post("/api/sendText", content=_chunks(2 * LIMIT), headers=typed)
    for answer in (declared, chunked):
        assert answer.status_code == 413
        assert answer.json()["limit"] == LIMIT
    assert gateway.sends == []
    fits = await caller.post("/api/sendText", content=_chunks(LIMIT // 2), headers=typed)
    assert fits.status_code == 201


@pytest.mark.parametrize(
    ("error", "status", "after"),
    [
        (Unavailable("away", retry_after=2.5), 503, "3"),
        (NotOwner(retry_after=1), 503, "1"),
        (NotOnWhatsApp(field="chatId"), 422, None),
        (WhatsAppRefused("no"), 502, None),
    ],
)
async def test_failures_below_keep_their_kind(
    caller: httpx.AsyncClient,
    gateway: FakeGateway,
    error: Any,
    status: int,
    after: str | None,
) -> None:
    gateway.fail = error
    answer = await caller.post("/api/sendText", json=TEXT)
    assert answer.status_code == status
    assert answer.json()["code"] == error.code
    assert answer.headers.get("Retry-After") == after


async def test_an_unforeseen_failure_reports_its_request_id_and_no_more(
    caller: httpx.AsyncClient, gateway: FakeGateway
) -> None:
    async def broken(*, all: bool = False) -> Any:
        raise RuntimeError("postgresql://user:secret@host")

    gateway.list_sessions = broken  # type: ignore[method-assign]
    answer = await caller.get("/api/sessions", headers={"X-Request-Id": "req-1"})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.json()["requestId"] == "req-1"


async def test_paths_and_methods_that_are_not_there(caller: httpx.AsyncClient) -> None:
    assert (await caller.get("/api/nothing")).json()["statusCode"] == 404
    assert (await caller.delete("/api/sendText")).json()["statusCode"] == 405
