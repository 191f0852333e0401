"""Tokens at the door: the issuer's key set comes from a server that rotates, hangs and lies."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import jwt
import pytest
import pytest_asyncio
from aiohttp import web
from attack_front import AUDIENCE, ISSUER, OPERATOR_KEY, GatewayWithoutRay
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import SecretStr

from api.app import create_app
from cluster.security import jwks
from cluster.settings import HttpSettings, JwtSettings, Settings
from cluster.stores import Stores

OLD, NEW, THIEF = (rsa.generate_private_key(65537, 2048) for _ in range(3))


class Issuer:
    """An authorisation server's `/jwks.json`."""

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {"old": OLD}
        self.away = False
        self.asked = 0
        self.url = ""

    async def answer(self, _: web.Request) -> web.Response:
        self.asked += 1
        if self.away:
            return web.Response(status=503)
        algorithm = jwt.algorithms.RSAAlgorithm
        keys = [
            json.loads(algorithm.to_jwk(key.public_key())) | {"kid": kid, "use": "sig"}
            for kid, key in self.keys.items()
        ]
        return web.json_response({"keys": keys})


@pytest_asyncio.fixture
async def issuer() -> AsyncIterator[Issuer]:
    one, app = Issuer(), web.Application()
    app.router.add_get("/jwks.json", one.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    one.url = f"http://127.0.0.1:{runner.addresses[0][1]}/jwks.json"
    yield one
    await runner.cleanup()


Status = Callable[[str], Any]


@pytest_asyncio.fixture
async def status(
    issuer: Issuer, stores: Stores, store_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Status:
    """What the running application answers to a token."""
    monkeypatch.setattr(jwks, "_RECHECK_SECONDS", 0.05)
    tokens = JwtSettings(
        _env_file=os.devnull, jwks=issuer.url, issuer=ISSUER, audience=AUDIENCE, leeway_seconds=0
    )
    http = HttpSettings(_env_file=os.devnull, api_key=SecretStr(OPERATOR_KEY))
    app = create_app(lambda: GatewayWithoutRay(store_settings, stores), http, None, tokens)
    app.state.gateway = GatewayWithoutRay(store_settings, stores)

    async def asked(token: str) -> int:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            headers = {"Authorization": f"Bearer {token}"}
            return (await client.get("/api/sessions", headers=headers)).status_code

    return asked


def claims(**changes: Any) -> dict[str, Any]:
    standard = {"iss": ISSUER, "aud": AUDIENCE, "sub": "s", "exp": int(time.time()) + 60}
    return standard | {"tenant": "t", "scope": "admin"} | changes


def signed(key: Any, kid: str, **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm="RS256", headers={"kid": kid})


async def test_keys_rotate_while_the_gateway_runs(status: Status, issuer: Issuer) -> None:
    assert await status(signed(OLD, "old")) == 200
    assert await status(signed(NEW, "new")) == 401, "not published yet"
    issuer.keys["new"] = NEW
    await asyncio.sleep(0.1)
    assert await status(signed(NEW, "new")) == 200, "an unknown key id has the set read again"
    assert await status(signed(OLD, "old")) == 200
    issuer.away = True
    await asyncio.sleep(0.1)
    assert await status(signed(NEW, "new")) == 200, "an issuer that is away locks nobody out"
    assert await status(signed(THIEF, "else")) == 401
    issuer.away = False
    issuer.keys.pop("old")
    await asyncio.sleep(0.1)
    assert await status(signed(THIEF, "else")) == 401, "which has the set read again"
    assert await status(signed(OLD, "old")) == 401, "taken back"


async def test_guessing_key_ids_does_not_flood_the_issuer(
    status: Status, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "_RECHECK_SECONDS", 10.0)
    for n in range(20):
        assert await status(signed(THIEF, f"guess-{n}")) == 401
    assert issuer.asked <= 2


async def test_no_forged_token_opens_the_door(status: Status) -> None:
    pem = OLD.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    good = signed(OLD, "old")
    head, body, signature = good.split(".")
    none = jwt.encode(claims(), "", algorithm="none", headers={"kid": "old"})
    # PyJWT itself refuses to make this one: by hand.

    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    signing = f"{part({'alg': 'HS256', 'kid': 'old'})}.{part(claims())}"
    mac = hmac.new(pem, signing.encode(), hashlib.sha256).digest()
    confused = f"{signing}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    forged = {
        "none": none,
        "public key as HMAC secret": confused,
        "no signature": f"{head}.{body}.",
        "another's signature": f"{head}.{body}.{signed(THIEF, 'old').split('.')[2]}",
        "changed claims": f"{head}.{part(claims(tenant='default'))}.{signature}",
        "thief's key in the header": jwt.encode(
            claims(),
            THIEF,
            algorithm="RS256",
            headers={
                "kid": "old",
                "jwk": json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(THIEF.public_key())),
                "jku": "https://thief.example/jwks.json",
            },
        ),
        "path as key id": signed(THIEF, "../../../dev/null"),
        "expired": signed(OLD, "old", exp=int(time.time()) - 1),
        "not yet": signed(OLD, "old", nbf=int(time.time()) + 60),
        "another audience": signed(OLD, "old", aud="other"),
        "another issuer": signed(OLD, "old", iss="https://thief.example"),
        "no expiry": jwt.encode(
            {k: v for k, v in claims().items() if k != "exp"},
            OLD,
            algorithm="RS256",
            headers={"kid": "old"},
        ),
        "not a token": "x.y.z",
        "far too long": good + "A" * 10_000,
    }
    assert await status(good) == 200
    assert {name: await status(token) for name, token in forged.items()} == dict.fromkeys(
        forged, 401
    )
