"""Where the public keys of tokens come from: a JWKS (RFC 7517) in a file or at a URL."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import httpx
import jwt
import structlog

from cluster.domain.errors import Unavailable

__all__ = ["JwksSource"]

log = structlog.get_logger(__name__)

_MAX_BYTES = 1 << 20
_FETCH_SECONDS = 5.0
#: Keys of a set that are looked at.
_MOST = 64
#: A token with an unknown key id has the set read again, at most this often.
_RECHECK_SECONDS = 10.0


class JwksSource:
    """The keys of an issuer, kept for `lifetime` seconds. An issuer that is unreachable for a while
    does not lock anybody out: the last set is used on."""

    def __init__(self, place: str, *, lifetime: float) -> None:
        self._place = place
        self._lifetime = lifetime
        self._keys: list[jwt.PyJWK] = []
        self._read_at = float("-inf")
        self._tried_at = float("-inf")
        self._reading = asyncio.Lock()

    async def find(self, kid: str | None) -> jwt.PyJWK | None:
        """The key of that id; without an id the only one there is. Raises `Unavailable` when the
        keys were never read."""
        await self._refresh(self._lifetime)
        found = self._match(kid)
        if found is None:
            # A rotation, perhaps.
            await self._refresh(_RECHECK_SECONDS)
            found = self._match(kid)
        return found

    def _match(self, kid: str | None) -> jwt.PyJWK | None:
        if kid is None:
            return self._keys[0] if len(self._keys) == 1 else None
        return next((key for key in self._keys if key.key_id == kid), None)

    async def _refresh(self, age: float) -> None:
        if not self._due(age):
            return
        if self._keys and self._reading.locked() and age > _RECHECK_SECONDS:
            # Somebody reads them anew: nobody else waits for an issuer that dawdles.
            return
        async with self._reading:
            if not self._due(age):
                return
            self._tried_at = time.monotonic()
            try:
                async with asyncio.timeout(_FETCH_SECONDS):
                    self._keys = _signing_keys(await self._read())
            # `TimeoutError` is an OSError; a set nested too deep is a RecursionError.
            except (
                OSError,
                ValueError,
                TypeError,
                RecursionError,
                httpx.HTTPError,
                jwt.PyJWTError,
            ) as error:
                log.warning("jwks.unreadable", error=type(error).__name__)
                if not self._keys:
                    raise Unavailable("the keys of tokens cannot be read", retry_after=5) from error
            else:
                self._read_at = self._tried_at

    def _due(self, age: float) -> bool:
        now = time.monotonic()
        pause = _RECHECK_SECONDS if self._keys else 1.0
        return now - self._read_at >= age and now - self._tried_at >= min(age, pause)

    async def _read(self) -> dict[str, Any]:
        if not self._place.startswith(("https://", "http://")):
            body = await asyncio.to_thread(Path(self._place).read_bytes)
        else:
            async with (
                httpx.AsyncClient(timeout=_FETCH_SECONDS, follow_redirects=False) as client,
                # Nothing is unpacked that was not counted.
                client.stream(
                    "GET", self._place, headers={"Accept-Encoding": "identity"}
                ) as answer,
            ):
                answer.raise_for_status()
                body = b""
                async for part in answer.aiter_raw():
                    body += part
                    if len(body) > _MAX_BYTES:
                        raise ValueError("the key set is too large")
        found = json.loads(body)
        if not isinstance(found, dict):
            raise ValueError("a key set is a JSON object")  # noqa: TRY004 - it is bad data
        return found


def _signing_keys(found: dict[str, Any]) -> list[jwt.PyJWK]:
    """Public keys for signatures; shared secrets (`oct`) have no place in a key set."""
    keys = []
    listed = found.get("keys")
    for entry in listed[:_MOST] if isinstance(listed, list) else ():
        if isinstance(entry, dict) and entry.get("kty") in {"RSA", "EC"}:
            if entry.get("use", "sig") != "sig":
                continue
            try:
                keys.append(jwt.PyJWK(entry))
            except (jwt.PyJWTError, ValueError, TypeError, AttributeError) as error:
                # One of a kind we do not know must not take the others along.
                log.warning("jwks.key_skipped", error=type(error).__name__)
    if not keys:
        raise ValueError("the key set has no RSA or EC key for signatures")
    return keys
