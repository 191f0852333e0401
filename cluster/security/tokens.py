"""Bearer tokens (JWT, RFC 7519): who sent them, checked as RFC 8725 advises.

What verifies is settled by the settings, never by the token: HS256 only with the shared secret,
RS256 and ES256 only with a key of the key set whose own type fits. A public key is never used as
a secret, and `none` is never taken.
"""

from __future__ import annotations

from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from cluster.domain.errors import Unauthorized
from cluster.domain.principal import Principal, actions_of, check_tenant
from cluster.security.jwks import JwksSource
from cluster.settings import JwtSettings

__all__ = ["TokenVerifier"]

_MAX_TOKEN = 8192
_MIN_RSA_BITS = 2048


class TokenVerifier:
    """Makes principals of tokens. Claims: `tenant`; `sessions`, a list of names, or `*`; `scope`
    (words) or `scopes` (list), see `SCOPES`, and `admin`."""

    def __init__(self, settings: JwtSettings) -> None:
        self._settings = settings
        self._secret = settings.secret.get_secret_value()
        self._jwks = (
            JwksSource(settings.jwks, lifetime=settings.jwks_seconds) if settings.jwks else None
        )

    @property
    def enabled(self) -> bool:
        return bool(self._secret or self._jwks)

    async def principal(self, token: str) -> tuple[Principal, float]:
        """The sender, and until when (seconds since the epoch). Raises `Unauthorized`; and
        `Unavailable` when the issuer's keys were never read."""
        try:
            key, algorithm = await self._key(token)
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=self._settings.leeway_seconds,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError as error:
            # The library's words name the claim at fault, not its value.
            raise _refused(str(error) or type(error).__name__) from error
        return _principal(claims), float(claims["exp"]) + self._settings.leeway_seconds

    async def _key(self, token: str) -> tuple[Any, str]:
        if len(token) > _MAX_TOKEN:
            raise _refused("it is too long")
        header = jwt.get_unverified_header(token)
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm == "HS256" and self._secret:
            return self._secret, "HS256"
        if algorithm in ("RS256", "ES256") and self._jwks:
            found = await self._jwks.find(kid)
            if found is None:
                raise _refused("its key is not in the issuer's key set")
            if _algorithm_of(found.key) != algorithm:
                raise _refused("its algorithm is not that of its key")
            return found.key, algorithm
        raise _refused("its algorithm is not taken here")


def _algorithm_of(key: Any) -> str | None:
    """The one that a public key is for."""
    if isinstance(key, RSAPublicKey) and key.key_size >= _MIN_RSA_BITS:
        return "RS256"
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return "ES256"
    return None


def _principal(claims: dict[str, Any]) -> Principal:
    scopes = claims.get("scopes", claims.get("scope", ""))
    words = scopes.split() if isinstance(scopes, str) else scopes
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise _refused("scopes is a list of words")
    return Principal(
        who=f"jwt:{claims['sub']}"[:200],
        tenant=check_tenant(claims.get("tenant"), of_token=True),
        sessions=_sessions(claims.get("sessions"), admin="admin" in words),
        actions=actions_of(words),
        admin="admin" in words,
    )


def _sessions(claim: Any, *, admin: bool) -> frozenset[str] | None:
    """An admin without the claim has all; others without it have none."""
    if claim == "*" or claim == ["*"] or (claim is None and admin):
        return None
    if claim is None:
        return frozenset()
    if not isinstance(claim, list) or not all(isinstance(name, str) for name in claim):
        raise _refused("sessions is a list of names, or *")
    return frozenset(claim)


def _refused(why: str) -> Unauthorized:
    return Unauthorized(f"The token is not taken: {why}")
