"""Limits, addresses, headers, and requests made to break the reading of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis.asyncio
from attack_front import OPERATOR_KEY, Front
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.types import Scope

from api import problems
from api.security.edge_policy import EdgePolicy
from api.security.rate_limits import RateLimits
from cluster.domain.errors import NotReached, RateLimited
from cluster.domain.session import SessionRecord
from cluster.security import keys
from cluster.settings import FrontSettings, LimitSettings, Settings, StoreSettings

KEY = {"X-Api-Key": OPERATOR_KEY}
VERSION = "/api/server/version"


def limits(stores: StoreSettings, **changes: str) -> RateLimits:
    none: dict[str, Any] = dict.fromkeys(
        ("per_key", "per_tenant", "per_session", "per_stranger"), ""
    )
    return RateLimits(LimitSettings(_env_file=os.devnull, **(none | changes)), stores)


def caller(
    app: FastAPI, headers: dict[str, str] | None = None, address: str = "203.0.113.9"
) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, client=(address, 1), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers)


async def test_replicas_count_together_and_say_when_to_come_again(
    front_with: Callable[..., FastAPI], store_settings: Settings, front: Front
) -> None:
    made = (await front.operator().post("/api/keys", json={"isAdmin": True})).json()
    key = {"X-Api-Key": made["key"]}
    replicas = [
        caller(front_with(limits(store_settings.stores, per_key="4/hour")), key) for _ in range(2)
    ]
    answers = [await replicas[turn % 2].get(VERSION) for turn in range(5)]
    assert [a.status_code for a in answers] == [200, 200, 200, 200, 429]
    assert [a.headers["RateLimit-Remaining"] for a in answers[:4]] == ["3", "2", "1", "0"]
    assert answers[0].headers["RateLimit-Limit"] == "4"
    refused = answers[4]
    assert 0 < int(refused.headers["Retry-After"]) <= 3600
    assert (refused.json()["code"], refused.json()["scope"]) == ("rate_limited", "key")
    other = (await front.operator().post("/api/keys", json={"isAdmin": True})).json()
    assert (await replicas[0].get(VERSION, headers={"X-Api-Key": other["key"]})).status_code == 200


async def test_who_asks_often_is_counted_in_blocks_and_never_above_the_limit(
    store_settings: Settings, tenant: str
) -> None:
    replicas = [limits(store_settings.stores, per_tenant="1000/hour") for _ in range(2)]
    admitted, remaining, refused = 0, [], 0
    async with redis.asyncio.from_url(
        store_settings.stores.redis_url.get_secret_value()
    ) as counted:
        before = await _scripts(counted)
        for turn in range(1200):
            try:
                standing = await replicas[turn % 2].take(("tenant", tenant))
            except RateLimited:
                refused += 1
                continue
            assert standing is not None
            admitted += 1
            remaining.append(standing.remaining)
        asked = await _scripts(counted) - before - 2 * refused
    assert 1000 - 2 * 20 <= admitted <= 1000, "a block of each replica may be left"
    assert asked < admitted, "one by one it is at least one script for each"
    assert remaining[0] == 999
    assert min(remaining) >= 0


async def _scripts(client: redis.asyncio.Redis) -> int:
    stats = await client.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("evalsha", "eval"))


async def test_a_session_is_limited_wherever_a_request_names_it(
    front_with: Callable[..., FastAPI], store_settings: Settings, victim: SessionRecord
) -> None:
    name = victim.name
    one = caller(front_with(limits(store_settings.stores, per_session="3/hour")), KEY)
    text = {"session": name, "chatId": "4915100002@c.us", "text": "x"}
    statuses = [
        (await one.get(f"/api/sessions/{name}")).status_code,
        (await one.get("/api/contacts/all", params={"session": name})).status_code,
        (await one.get(f"/api/{name}/chats")).status_code,
        (await one.post("/api/sendText", json=text)).status_code,
        (await one.get(f"/api/files/{name}/x")).status_code,
        (await one.get("/api/sessions")).status_code,
    ]
    assert statuses[3:] == [429, 429, 200]
    assert 429 not in statuses[:3]


async def test_who_guesses_keys_is_stopped_and_others_at_the_address_are_not(
    front_with: Callable[..., FastAPI], store_settings: Settings
) -> None:
    app = front_with(limits(store_settings.stores, per_stranger="3/hour"))
    thief = caller(app, address="203.0.113.77")
    statuses = [
        (await thief.get(VERSION, headers={"X-Api-Key": keys.new_key()})).status_code
        for _ in range(4)
    ]
    assert statuses == [401, 401, 401, 429]
    assert (await thief.get(VERSION, headers=KEY)).status_code == 200


@pytest.mark.parametrize(("without", "status"), [("memory", [200, 200, 429]), ("refuse", [503])])
async def test_without_redis_the_settings_say_what_holds(
    front_with: Callable[..., FastAPI], without: str, status: list[int]
) -> None:
    nowhere = StoreSettings(_env_file=os.devnull, redis_url=SecretStr("redis://127.0.0.1:1/0"))
    app = front_with(limits(nowhere, per_key="2/hour", without_redis=without))
    one = caller(app, KEY)
    answers = [await one.get(VERSION) for _ in status]
    assert [a.status_code for a in answers] == status
    assert all("Retry-After" in a.headers for a in answers if a.status_code != 200)


async def test_addresses_are_those_of_callers_not_what_they_claim(
    front_with: Callable[..., FastAPI],
) -> None:
    app = front_with(
        allow="10.0.0.0/8, 2001:db8::/32",
        control_allow="10.1.0.0/16",
        trusted_proxies="10.9.0.0/16",
    )

    async def status(address: str, path: str = VERSION, forwarded: str = "") -> int:
        headers = KEY | ({"X-Forwarded-For": forwarded} if forwarded else {})
        return (await caller(app, headers, address).get(path)).status_code

    assert await status("203.0.113.9") == 403
    assert await status("203.0.113.9", "/health") == 403
    assert await status("203.0.113.9", forwarded="10.1.0.1") == 403, "no proxy of ours"
    assert await status("10.2.0.1") == 200
    assert await status("2001:db8::7") == 200
    assert await status("::ffff:10.2.0.1") == 200
    assert await status("10.9.0.1", forwarded="10.1.0.1, 203.0.113.9") == 403, "the last counts"
    assert await status("10.9.0.1", forwarded="203.0.113.9, 10.2.0.1") == 200
    assert await status("10.2.0.1", "/api/keys") == 403
    assert await status("10.1.0.1", "/api/keys") == 200
    assert await status("10.9.0.1", "/api/keys", "10.1.0.1, 10.9.0.2") == 200
    assert await status("10.2.0.1", "/api/keys", "10.1.0.1") == 403


async def test_every_answer_has_the_security_headers(front_with: Callable[..., FastAPI]) -> None:
    app = front_with(hsts_seconds=600)
    for path, headers in {VERSION: KEY, "/api/sessions": {}, "/ping": {}, "/docs": {}}.items():
        got = (await caller(app, headers).get(path)).headers
        assert got["x-content-type-options"] == "nosniff"
        assert got["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in got["content-security-policy"]
        assert got["strict-transport-security"] == "max-age=600; includeSubDomains"
        assert "server" not in got


async def test_pages_of_other_origins_only_where_allowed(
    front_with: Callable[..., FastAPI],
) -> None:
    page = {"Origin": "https://a.example"}
    ask = page | {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-api-key",
    }
    allowed = caller(front_with(cors_origins="https://a.example"))
    asked = await allowed.options("/api/sendText", headers=ask)
    assert asked.status_code == 200, "a browser asks without a key"
    assert asked.headers["access-control-allow-origin"] == "https://a.example"
    evil = await allowed.options("/api/sendText", headers=ask | {"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in evil.headers
    closed = await caller(front_with()).get(VERSION, headers=KEY | page)
    assert "access-control-allow-origin" not in closed.headers


TRICKS = [
    *("..", "../default", "..%2f..", "%2e%2e%2fdefault", "a/../b", "..\\..", "a%00b", "a%0d%0ab"),
    *("%", "*", "a;b", "a'--", "ａ", "a" * 65, "a%20b", "%2Fapi%2Fkeys", "~root", "$(id)"),
]


@pytest.mark.parametrize("name", TRICKS)
async def test_names_with_tricks_name_nothing(front: Front, name: str) -> None:
    operator = front.operator()
    for path in (f"/api/sessions/{name}", f"/api/{name}/chats", f"/api/files/{name}/x"):
        answer = await operator.get(path)
        assert answer.status_code in {404, 405, 422}, (path, answer.text)
    made = await operator.post("/api/sessions", json={"name": name, "start": False})
    assert made.status_code == 422


@pytest.mark.parametrize(
    "file",
    ["../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e", "x%00.jpg", "a" * 301, "%0d%0aX: y"],
)
async def test_files_with_tricks_are_no_files(
    front: Front, victim: SessionRecord, file: str
) -> None:
    answer = await front.operator().get(f"/api/files/{victim.name}/{file}")
    assert answer.status_code in {404, 422}
    assert "root:" not in answer.text


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" * 60_000, 422),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, 422),
        (b'{"session": ' + b"9" * 5000 + b"}", 422),
        (b'{"session": NaN}', 422),
        (b"\xff\xfe{\x00}\x00", 400),
        (b'{"session": "\\ud800"}', 422),
        (b'{"session": "\\u0000"}', 422),
        (b"x" * 70_000, 413),
    ],
)
async def test_bodies_that_break_parsers_are_refused(
    front_with: Callable[..., FastAPI], body: bytes, status: int
) -> None:
    one = caller(front_with(), KEY | {"Content-Type": "application/json"})
    answer = await one.post("/api/sendText", content=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def test_what_callers_send_does_not_become_headers(front: Front) -> None:
    injected = "a\r\nSet-Cookie: x=1"
    operator = front.operator()
    for answer in (
        await operator.get(VERSION, headers={"X-Request-Id": "a b<script>"}),
        await operator.post("/api/sessions", json={"name": injected}),
        await operator.get("/api/sessions/x", params={"a": injected}),
    ):
        assert "set-cookie" not in answer.headers
        assert all("\n" not in value for value in answer.headers.values())
        assert "<script>" not in answer.headers.get("x-request-id", "")


def test_the_repository_has_no_admin_key_in_it() -> None:
    root = Path(__file__).parents[2]
    for name in (".env.example", "ray-cluster.yaml"):
        for line in (root / name).read_text().splitlines():
            key, _, value = line.strip().lstrip("# ").partition("=")
            if key in {"HTTP_API_KEY", "JWT_SECRET", "CHECKPOINT_KEYS"}:
                assert len(value) < 32, f"{name}: {key}"


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("10.1.0.1, 203.0.113.9", "203.0.113.9"),
        ("10.1.0.1, 10.9.0.1", "10.1.0.1"),
        ("", "127.0.0.1"),
    ],
)
def test_our_own_haproxy_says_who_called_it_and_nobody_else_does(
    forwarded: str, address: str
) -> None:
    settings = FrontSettings(_env_file=os.devnull, trusted_proxies="10.9.0.0/16")
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    scope = {"type": "http", "client": ("127.0.0.1", 4), "headers": headers}
    proven = scope | {"headers": [*headers, (b"x-gateway-ingress", b"of-the-cluster")]}
    assert _address(EdgePolicy(settings, ingress_secret="of-the-cluster"), proven) == address
    for stranger in (
        scope,
        scope | {"headers": [*headers, (b"x-gateway-ingress", b"guessed")]},
        scope
        | {"headers": [*headers, (b"x-gateway-ingress", "of-the-clust\xe9r".encode("latin-1"))]},
    ):
        policy = EdgePolicy(settings, ingress_secret="of-the-cluster")
        assert _address(policy, stranger) == "127.0.0.1"
    assert _address(EdgePolicy(settings), proven) == "127.0.0.1"


def _address(policy: EdgePolicy, scope: Scope) -> str:
    return policy.address(scope, by_haproxy=policy.by_haproxy(scope))


def test_the_scheme_is_that_of_our_own_proxies() -> None:
    policy = EdgePolicy(
        FrontSettings(_env_file=os.devnull, trusted_proxies="10.0.0.0/8"), ingress_secret="proof"
    )

    def scheme(client: str, claimed: str, proof: str = "", kind: str = "http") -> str:
        headers = [(b"x-forwarded-proto", claimed.encode()), (b"x-gateway-ingress", proof.encode())]
        scope = {"type": kind, "client": (client, 4), "headers": headers}
        return policy.scheme(scope, by_haproxy=policy.by_haproxy(scope))

    assert scheme("192.0.2.7", "https", "proof") == "https"
    assert scheme("192.0.2.7", "https", "proof", "websocket") == "wss"
    assert scheme("10.1.2.3", "https") == "https"
    assert scheme("192.0.2.7", "https") == scheme("127.0.0.1", "https", "guessed") == "http"
    assert scheme("10.1.2.3", "javascript") == "http"


@pytest.mark.parametrize(("proof", "status"), [("proof", 425), ("guessed", 503), ("", 503)])
async def test_only_our_own_haproxy_learns_that_another_replica_may_do(
    proof: str, status: int
) -> None:
    app = FastAPI()
    problems.install(app)

    @app.get("/")
    async def not_reached() -> None:
        raise NotReached("PostgreSQL is not reached from here", retry_after=1)

    EdgePolicy(FrontSettings(_env_file=os.devnull), ingress_secret="proof").install(app)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://front"
    ) as client:
        answer = await client.get("/", headers={"X-Gateway-Ingress": proof})
    assert answer.status_code == status
    assert answer.json()["status"] == answer.json()["statusCode"] == 503
    assert answer.headers["Retry-After"] == "1"
    assert not [name for name in answer.headers if name.startswith("x-gateway")]
