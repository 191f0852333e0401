"""The console's page, and the routes that only the operator may use."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from attack_front import Front

from api.console import CONTENT_SECURITY_POLICY
from cluster.domain.session import DesiredState, SessionRecord
from cluster.stores import Stores

OPERATORS = [
    ("GET", "/api/cluster/nodes"),
    ("GET", "/api/cluster/ownerships"),
    ("POST", "/api/cluster/nodes/node-1/drain"),
    ("POST", "/api/cluster/nodes/node-1/undrain"),
    ("GET", "/api/sandbox/phones"),
    ("POST", "/api/sandbox/phones"),
    ("GET", "/api/sandbox/phones/4915100000001/inbox"),
]


async def test_the_page_is_open_and_carries_a_strict_policy(front: Front) -> None:
    stranger = front.client({})
    page = await stranger.get("/console/")
    assert page.status_code == 200
    assert page.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "http" not in CONTENT_SECURITY_POLICY
    assert page.headers["Cache-Control"] == "no-cache"
    assert page.headers["X-Frame-Options"] == "DENY"
    script = next(p for p in page.text.split('"') if p.startswith("./assets/") and "js" in p)
    asset = await stranger.get(f"/console/{script.removeprefix('./')}")
    assert asset.status_code == 200
    assert "immutable" in asset.headers["Cache-Control"]


@pytest.mark.parametrize("way", ["../app.py", "%2e%2e/__init__.py", "..%2f__init__.py", "nothing"])
async def test_nothing_but_the_build_is_served(front: Front, way: str) -> None:
    answer = await front.client({}).get(f"/console/{way}")
    assert answer.status_code in {401, 404}
    assert "import" not in answer.text


async def test_browsers_are_led_to_the_console_and_programs_to_the_docs(front: Front) -> None:
    stranger = front.client({})
    browser = await stranger.get("/", headers={"Accept": "text/html,*/*"})
    assert browser.headers["Location"] == "console/"
    assert (await stranger.get("/")).headers["Location"] == "/docs"


@pytest.mark.parametrize(("method", "path"), OPERATORS)
async def test_the_cluster_and_the_sandbox_are_the_operators(
    front: Front, tenant: str, method: str, path: str
) -> None:
    body = {"number": "4915100000001"} if path == "/api/sandbox/phones" else None
    for claims in (
        {"tenant": tenant, "scope": "admin"},
        {"tenant": "default", "scope": "session", "sessions": ["mine"]},
        {"tenant": "default", "scope": "read send control setting"},
    ):
        answer = await front.with_token(**claims).request(method, path, json=body)
        assert answer.status_code == 403, (claims, answer.text)
    answer = await front.client({}).request(method, path, json=body)
    assert answer.status_code == 401


async def test_no_sandbox_without_sandbox_mode(front: Front) -> None:
    """Not even for the operator."""
    operator = front.operator()
    assert (await operator.get("/api/access")).json()["sandbox"] is False
    for method, path in OPERATORS:
        if "sandbox" in path:
            answer = await operator.request(
                method, path, json={"number": "4915100000001"} if method == "POST" else None
            )
            assert answer.status_code == 404, answer.text


async def test_vitals_are_of_the_callers_sessions(
    front: Front, victim: SessionRecord, tenant: str, stores: Stores
) -> None:
    await stores.sessions.create(tenant, victim.name, {}, DesiredState.STOPPED)
    await stores.sessions.create("default", f"{victim.name}-2", {}, DesiredState.STOPPED)
    operator = (await front.operator().get("/api/vitals")).json()
    assert {victim.name, f"{victim.name}-2"} <= {one["name"] for one in operator}
    other = front.with_token(tenant=tenant, scope="admin")
    assert [one["name"] for one in (await other.get("/api/vitals")).json()] == [victim.name]
    # A key of one session, also when it asks for others by name.
    one = front.with_token(tenant="default", scope="read", sessions=[f"{victim.name}-2"])
    for query in ("", f"?sessions={victim.name}&sessions={victim.name}-2"):
        found = (await one.get(f"/api/vitals{query}")).json()
        assert [v["name"] for v in found] == [f"{victim.name}-2"]


async def test_who_owned_which_session_is_noted(
    front: Front, victim: SessionRecord, stores: Stores
) -> None:
    ttl = timedelta(seconds=30)
    first = await stores.ownership.claim(victim.id, "node-a", "holder-1", ttl)
    await stores.ownership.release(victim.id, first.epoch, clean=True)
    await stores.ownership.claim(victim.id, "node-b", "holder-2", ttl)
    await stores.ownership.claim(victim.id, "node-c", "holder-3", ttl)
    listed = (await front.operator().get("/api/cluster/ownerships")).json()
    mine = [one for one in listed if one["session"] == victim.name]
    assert [(one["kind"], one["previousNode"], one["node"], one["epoch"]) for one in mine] == [
        ("takeover", "node-b", "node-c", 3),
        ("handover", "node-a", "node-b", 2),
        ("first", None, "node-a", 1),
    ]


async def test_the_stream_of_all_sessions_has_those_of_the_caller(
    front: Front, victim: SessionRecord, tenant: str, stores: Stores
) -> None:
    mine = await stores.sessions.create("default", f"{victim.name}-2", {}, DesiredState.STOPPED)
    foreign = await stores.sessions.create(tenant, mine.name, {}, DesiredState.STOPPED)
    made = await front.operator().post(
        "/api/keys", json={"isAdmin": False, "isActive": True, "session": mine.name}
    )

    async def happen() -> None:
        for record, word in ((victim, "secret"), (foreign, "secret"), (mine, "for me")):
            await stores.events.append(record.id, "session.status", {"status": word})

    heard = await _stream(front, made.json()["key"], "/api/events/stream", happen, until=b"for me")
    assert mine.name in heard
    assert "secret" not in heard


async def test_what_happens_once_a_stream_is_connected_is_emitted(
    front: Front, victim: SessionRecord, stores: Stores
) -> None:
    made = await front.operator().post("/api/keys", json={"isAdmin": True, "isActive": True})
    key = made.json()["key"]

    async def happen() -> None:
        await stores.events.append(victim.id, "session.status", {"status": "from now on"})

    for path in (f"/api/{victim.name}/events/stream", "/api/events/stream"):
        heard = await _stream(front, key, path, happen, until=b"from now on")
        assert heard.startswith("retry: 2000\n: connected\n\nid: "), path


async def _stream(
    front: Front, key: str, path: str, happen: Callable[[], Awaitable[None]], until: bytes
) -> str:
    """What the stream has said when it says `until`. `happen` is done once it says that it is
    connected, and before it is asked for more."""
    heard = b""

    async def receive() -> dict[str, Any]:
        return await asyncio.Future()

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal heard
        body = message.get("body", b"")
        heard += body
        if b": connected" in body:
            await happen()
        if until in heard:
            raise EnoughError

    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode()}
    scope |= {"headers": [(b"x-api-key", key.encode())], "query_string": b"", "scheme": "http"}
    scope |= {"client": ("203.0.113.9", 1), "http_version": "1.1", "server": ("gateway", 80)}
    async with asyncio.timeout(30):
        with suppress(EnoughError, BaseExceptionGroup):
            await front.app(scope, receive, send)
    return heard.decode()


class EnoughError(Exception):
    """Ends a stream from the reader's side."""
