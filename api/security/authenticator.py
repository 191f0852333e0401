"""Makes a principal of what a caller sent."""

from __future__ import annotations

import time
from collections import OrderedDict

from pydantic import SecretStr
from starlette.datastructures import QueryParams
from starlette.types import Scope

from api.gateway import Gateway
from api.security.caller import header_of
from cluster.domain.errors import Unauthorized, Unavailable
from cluster.domain.principal import OPERATOR_TENANT, Principal
from cluster.security.keys import ConfiguredKey, digest_of, is_issued
from cluster.security.tokens import TokenVerifier
from cluster.settings import FrontSettings, JwtSettings
from cluster.stores.api_keys import ApiKeyRecord

__all__ = ["Authenticator"]

HEADER = "X-Api-Key"
_RAW = HEADER.lower().encode()
_CHATWOOT = "/webhooks/chatwoot/"
#: A key that was taken back is refused everywhere after this long.
KEPT_SECONDS = 2.0
#: Known keys come in this long while PostgreSQL is unreachable: what reads Redis or answers 503 by
#: itself goes on saying why.
_UNREACHABLE_SECONDS = 60.0
_MOST_KEPT = 4096
_OPERATOR = Principal(who="operator", tenant=OPERATOR_TENANT, admin=True)


class Authenticator:
    """The admin key of the settings, issued keys, and bearer tokens."""

    def __init__(
        self, configured: SecretStr, jwt: JwtSettings, front: FrontSettings | None = None
    ) -> None:
        self._in_addresses = (front or FrontSettings()).keys_in_addresses
        self._configured = ConfiguredKey(configured.get_secret_value())
        self._tokens = TokenVerifier(jwt)
        self._kept: OrderedDict[str, tuple[float, ApiKeyRecord]] = OrderedDict()

    def configured(self, scope: Scope) -> Principal | None:
        """The operator, if it is the one; asks nobody."""
        return _OPERATOR if self._configured.admits(header_of(scope, _RAW)) else None

    async def principal(self, scope: Scope, gateway: Gateway) -> tuple[Principal, float | None]:
        """The caller, and when its token ends (seconds since the epoch; None: it does not).
        Raises `Unauthorized`, and `Unavailable` when that cannot be found out."""
        key, token = _credentials(scope)
        if key is None and token is not None and is_issued(token):
            # Many clients of agents and webhooks can only send a bearer.
            key = token
        if key is not None:
            return await self._by_key(key, gateway), None
        if token is not None and self._tokens.enabled:
            return await self._tokens.principal(token)
        if key := _key_of_reader(scope):
            found = await self._by_key(key, gateway)
            if self._in_addresses == "any" or found.narrow:
                return found, None
            raise Unauthorized(
                f"This key does not belong into an address: send it as {HEADER}, or use one of "
                "POST /api/keys/media"
            )
        raise Unauthorized(f"The API key is missing or unknown: send it as {HEADER}")

    async def _by_key(self, key: str, gateway: Gateway) -> Principal:
        if self._configured.admits(key):
            return _OPERATOR
        record = await self._record(key, gateway) if is_issued(key) else None
        if record is None or not record.active:
            raise Unauthorized(f"The API key is missing or unknown: send it as {HEADER}")
        return Principal(
            who=record.id,
            tenant=record.tenant,
            sessions=None if record.session is None else frozenset({record.session}),
            actions=record.actions,
            admin=record.admin,
        )

    async def _record(self, key: str, gateway: Gateway) -> ApiKeyRecord | None:
        digest, now = digest_of(key), time.monotonic()
        kept = self._kept.get(digest)
        if kept and now - kept[0] < KEPT_SECONDS:
            return kept[1]
        try:
            found = await gateway.keys.find(key)
        except Unavailable:
            if kept and now - kept[0] < _UNREACHABLE_SECONDS:
                return kept[1]
            raise
        self._kept.pop(digest, None)
        if found is not None:
            self._kept[digest] = (now, found)
            if len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        return found


def _key_of_reader(scope: Scope) -> str | None:
    """The key in the address of what is only read: browsers cannot set headers of pictures."""
    if scope["type"] != "http" or scope["method"] not in {"GET", "HEAD"}:
        return None
    return QueryParams(scope["query_string"]).get(HEADER.lower())


def _credentials(scope: Scope) -> tuple[str | None, str | None]:
    """(key, token). Browsers cannot set headers of websockets and event streams; elsewhere a
    secret does not belong into an address, which ends up in logs, unless it is a narrow one
    (`Principal.narrow`)."""
    key = header_of(scope, _RAW)
    kind, _, token = (header_of(scope, b"authorization") or "").partition(" ")
    if key is not None or kind.lower() == "bearer":
        return key, token.strip() or None if kind.lower() == "bearer" else None
    if scope["path"].startswith(_CHATWOOT):
        # It can send no header: the key of the app is the last part of the address.
        return scope["path"].rpartition("/")[2], None
    if scope["type"] == "websocket" or scope["path"].endswith("/events/stream"):
        query = QueryParams(scope["query_string"])
        return query.get(HEADER.lower()), query.get("access_token")
    return None, None
