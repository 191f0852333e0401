"""Bearer tokens: who comes in, and every way in that must be shut."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pydantic import SecretStr, ValidationError

from cluster.domain.errors import Unauthorized, Unavailable
from cluster.domain.principal import Action
from cluster.security import jwks as jwks_module
from cluster.security.tokens import TokenVerifier
from cluster.settings import JwtSettings

SECRET = "s" * 40
ISSUER, AUDIENCE = "https://issuer.example", "gateway"
RSA, OTHER_RSA = (rsa.generate_private_key(65537, 2048) for _ in range(2))
WEAK_RSA = rsa.generate_private_key(65537, 1024)  # noqa: S505
EC = ec.generate_private_key(ec.SECP256R1())


def public(key: Any, kid: str) -> dict[str, Any]:
    algorithms = jwt.algorithms
    rsa_key = isinstance(key, rsa.RSAPrivateKey)
    kind = algorithms.RSAAlgorithm if rsa_key else algorithms.ECAlgorithm
    return {**json.loads(kind.to_jwk(key.public_key())), "kid": kid}


def claims(**changes: Any) -> dict[str, Any]:
    whole = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "someone",
        "exp": int(time.time()) + 300,
        "tenant": "acme",
        "sessions": ["a", "b"],
        "scope": "read send",
    } | changes
    return {name: value for name, value in whole.items() if value is not None}


@pytest.fixture
def key_set(tmp_path: Path) -> Path:
    place = tmp_path / "jwks.json"
    keys = [public(RSA, "r1"), public(EC, "e1"), public(WEAK_RSA, "weak")]
    # A shared secret in a key set is never a key.
    keys.append({"kty": "oct", "kid": "oct", "k": base64.urlsafe_b64encode(b"x" * 32).decode()})
    place.write_text(json.dumps({"keys": keys}))
    return place


def settings(**changes: Any) -> JwtSettings:
    return JwtSettings(_env_file=os.devnull, issuer=ISSUER, audience=AUDIENCE, **changes)


@pytest.fixture
def verifier(key_set: Path) -> TokenVerifier:
    return TokenVerifier(settings(secret=SecretStr(SECRET), jwks=str(key_set)))


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"),
    [(SECRET, "HS256", None), (RSA, "RS256", "r1"), (EC, "ES256", "e1")],
)
async def test_each_algorithm_gives_the_principal_of_the_claims(
    verifier: TokenVerifier, key: Any, algorithm: str, kid: str | None
) -> None:
    token = jwt.encode(claims(), key, algorithm=algorithm, headers={"kid": kid} if kid else None)
    found, ends = await verifier.principal(token)
    assert (found.tenant, found.sessions) == ("acme", frozenset({"a", "b"}))
    assert found.actions == {Action.READ, Action.SEND, Action.VIEW, Action.MEDIA}
    assert not found.admin
    assert ends > time.time()


def unsigned(header: dict[str, Any], **changes: Any) -> str:
    parts = [json.dumps(part).encode() for part in (header, claims(**changes))]
    return ".".join(base64.urlsafe_b64encode(p).rstrip(b"=").decode() for p in parts) + "."


def public_key_as_secret() -> str:
    """RS256's public key taken for HS256's secret: the classic confusion."""
    pem = RSA.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    head = unsigned({"alg": "HS256", "typ": "JWT", "kid": "r1"}).rstrip(".")
    mac = hmac.new(pem, head.encode(), hashlib.sha256).digest()
    return f"{head}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def signed(key: Any = SECRET, algorithm: str = "HS256", kid: str = "", **changes: Any) -> str:
    return jwt.encode(
        claims(**changes), key, algorithm=algorithm, headers={"kid": kid} if kid else None
    )


FORGERIES = {
    "none": unsigned({"alg": "none"}),
    "nOnE": unsigned({"alg": "nOnE"}),
    "no algorithm": unsigned({}),
    "algorithm is a list": unsigned({"alg": ["HS256"]}),
    "public key as secret": public_key_as_secret(),
    "another secret": signed("t" * 40),
    "another RSA key under a known id": signed(OTHER_RSA, "RS256", "r1"),
    "unknown id": signed(OTHER_RSA, "RS256", "r2"),
    "no id with several keys": signed(RSA, "RS256"),
    "weak RSA key": signed(WEAK_RSA, "RS256", "weak"),
    "oct of the key set": signed("x" * 32, "HS256", "oct"),
    "RS384": signed(RSA, "RS384", "r1"),
    "PS256": signed(RSA, "PS256", "r1"),
    "HS512": signed(SECRET * 2, "HS512"),
    "EC key for RS256": unsigned({"alg": "RS256", "kid": "e1"}),
    "id of another type": unsigned({"alg": "RS256", "kid": {"a": 1}}),
    "key of its own": jwt.encode(
        claims(), OTHER_RSA, algorithm="RS256", headers={"jwk": public(OTHER_RSA, "r1")}
    ),
    "expired": signed(exp=int(time.time()) - 31),
    "never ends": signed(exp=None),
    "not yet": signed(nbf=int(time.time()) + 3600),
    "another issuer": signed(iss="https://evil.example"),
    "no issuer": signed(iss=None),
    "another audience": signed(aud="other"),
    "no audience": signed(aud=None),
    "no subject": signed(sub=None),
    "no tenant": signed(tenant=None),
    "tenant with a path": signed(tenant="../default"),
    "tenant of another type": signed(tenant=["default"]),
    "sessions of another type": signed(sessions={"a": 1}),
    "scopes of another type": signed(scopes=[1]),
    "garbage": "a.b.c",
    "empty": "",
    "huge": "a" * 9000,
    "crit": jwt.encode(claims(), SECRET, headers={"crit": ["b64"], "b64": False}),
}


@pytest.mark.parametrize("name", FORGERIES)
async def test_no_forgery_comes_in(verifier: TokenVerifier, name: str) -> None:
    with pytest.raises(Unauthorized) as refused:
        await verifier.principal(FORGERIES[name])
    assert "acme" not in refused.value.detail


async def test_clocks_may_differ_a_little(verifier: TokenVerifier) -> None:
    await verifier.principal(signed(exp=int(time.time()) - 20))


async def test_what_claims_leave_out_is_not_given(verifier: TokenVerifier) -> None:
    none, _ = await verifier.principal(signed(sessions=None, scope=None))
    assert none.sessions == frozenset()
    assert none.actions == frozenset()
    every, _ = await verifier.principal(signed(sessions="*"))
    assert every.sees("anything")
    assert not every.manages
    admin, _ = await verifier.principal(signed(sessions=None, scope="admin"))
    assert admin.manages
    assert not admin.operates, "an admin of a tenant does not run the gateway"


async def test_keys_rotate_and_an_issuer_that_is_away_locks_nobody_out(
    key_set: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks_module, "_RECHECK_SECONDS", 0.0)
    verifier = TokenVerifier(settings(jwks=str(key_set)))
    old, new = signed(RSA, "RS256", "r1"), signed(OTHER_RSA, "RS256", "r2")
    await verifier.principal(old)
    with pytest.raises(Unauthorized):
        await verifier.principal(new)
    key_set.write_text(json.dumps({"keys": [public(OTHER_RSA, "r2")]}))  # noqa: ASYNC240
    await verifier.principal(new)
    with pytest.raises(Unauthorized):
        await verifier.principal(old)
    key_set.unlink()  # noqa: ASYNC240
    await verifier.principal(new)
    with pytest.raises(Unavailable):
        await TokenVerifier(settings(jwks=str(key_set))).principal(new)


async def test_nothing_is_taken_without_settings_and_half_settings_are_refused() -> None:
    verifier = TokenVerifier(JwtSettings(_env_file=os.devnull))
    assert not verifier.enabled
    with pytest.raises(Unauthorized):
        await verifier.principal(signed())
    halves: tuple[dict[str, Any], ...] = (
        {"secret": "short", "issuer": "i", "audience": "a"},
        {"secret": SECRET},
    )
    for half in halves:
        with pytest.raises(ValidationError):
            JwtSettings(_env_file=os.devnull, **half)
