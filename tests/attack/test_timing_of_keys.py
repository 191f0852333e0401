"""How long a refusal takes says nothing of how near a key was: no secret is compared as it is.

By construction, not by the clock: a byte's comparison takes a nanosecond, and a request a million.
A key that is sent is turned into its digest at once, and what is compared or looked up is that: of
digests, who sends keys cannot choose how they begin.
"""

from __future__ import annotations

import hmac
import os
from typing import Any

import pytest
from attack_front import OPERATOR_KEY, Front, GatewayWithoutRay
from pydantic import SecretStr

from api.security import authenticator
from cluster.domain.errors import Unauthorized
from cluster.security import keys
from cluster.settings import JwtSettings


class Uncompared(str):
    """A key that raises when it is compared, searched for, or looked up as it is."""

    def _compared(self, *_: object) -> Any:
        raise AssertionError("the key itself was compared")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _compared
    __contains__ = startswith = endswith = index = find = _compared
    __hash__ = _compared


def _near(key: str) -> list[str]:
    """Wrong keys that share all, half and nothing of the right one's beginning."""
    last = "A" if key[-1] != "A" else "B"
    half = len(key) // 2
    return [key[:-1] + last, key[:half] + "x" * (len(key) - half), "y" * len(key), key + "z"]


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, bytes]]:
    """What `hmac.compare_digest` was asked."""
    asked: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        asked.append((one, other))
        return hmac.compare_digest(one, other)

    class Watched:
        compare_digest = staticmethod(compare)

    monkeypatch.setattr(keys, "hmac", Watched)
    return asked


@pytest.mark.parametrize("configured", ["plain", "digest"])
async def test_keys_are_distinguished_by_their_digests(
    front: Front,
    compared: list[tuple[bytes, bytes]],
    monkeypatch: pytest.MonkeyPatch,
    configured: str,
    tenant: str,
) -> None:
    made = await front.operator().post("/api/keys", json={"isAdmin": True, "tenant": tenant})
    issued = made.json()["key"]
    sha512 = f"sha512:{keys._sha512(OPERATOR_KEY.encode())}"
    secret = OPERATOR_KEY if configured == "plain" else sha512
    checks = authenticator.Authenticator(SecretStr(secret), JwtSettings(_env_file=os.devnull))
    gateway = front.app.state.gateway
    assert isinstance(gateway, GatewayWithoutRay)
    sought: list[str] = []
    find = front.stores.api_keys.find

    async def watched(digest: str) -> Any:
        sought.append(digest)
        return await find(digest)

    monkeypatch.setattr(front.stores.api_keys, "find", watched)

    async def tried(key: str) -> str | None:
        monkeypatch.setattr(authenticator, "_credentials", lambda _: (Uncompared(key), None))
        try:
            found, _ = await checks.principal({"type": "http", "headers": []}, gateway)
        except Unauthorized:
            return None
        return found.tenant

    compared.clear()
    for right, whose in ((OPERATOR_KEY, "default"), (issued, tenant)):
        assert await tried(right) == whose
        assert [await tried(wrong) for wrong in _near(right)] == [None] * 4
    assert len(compared) == 10
    for one, other in compared:
        assert len(one) == len(other) == 128
        assert OPERATOR_KEY.encode() not in one + other
    # Found, and two of its near ones that look like keys.
    assert sought[0] == keys.digest_of(issued)
    assert all(len(digest) == 64 and issued[4:12] not in digest for digest in sought)
    assert len(sought) == 3
