"""What an operator should mend before the gateway meets the internet."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

from cluster.domain.errors import GatewayError
from cluster.settings import Settings
from cluster.stores.database import Database
from cluster.stores.inspection import InspectionStore, ServerFacts

__all__ = ["Finding", "database_findings", "durability_findings", "findings"]

_WEAK = frozenset(
    [
        *("admin", "api", "apikey", "changeme", "default", "gateway", "minio", "minioadmin"),
        *("password", "postgres", "redis", "secret", "test", "waha", "yoursecretkey"),
        *("123", "666", "123456", "12345678"),
    ]
)
#: Bits of a secret that nobody guesses, as far as its characters can show.
_ENOUGH_BITS = 64.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing. An `error` keeps a production gateway from being put up."""

    level: Literal["error", "warning"]
    variable: str
    what: str


def findings(settings: Settings) -> list[Finding]:
    """Errors first."""
    found = [*_secrets(settings), *_stores(settings), *_front(settings), *_tokens(settings)]
    return sorted(found, key=lambda one: (one.level != "error", one.variable))


async def database_findings(settings: Settings) -> list[Finding]:
    """What only PostgreSQL itself can report. One that does not answer is a warning."""
    try:
        database = await Database.open(settings.stores)
    except GatewayError as error:
        return [Finding("warning", "DATABASE_URL", f"not looked at: {error.detail}")]
    try:
        facts = await InspectionStore(database).server()
    except GatewayError as error:
        return [Finding("warning", "DATABASE_URL", f"not looked at: {error.detail}")]
    finally:
        await database.close()
    return durability_findings(facts, settings)


def durability_findings(facts: ServerFacts, settings: Settings) -> list[Finding]:
    """Whether what is answered 201 survives; errors unless `DATABASE_DURABILITY` is relaxed."""
    hard = settings.stores.database_durability == "required"
    found = [
        Finding("error" if hard else "warning", "DATABASE_DURABILITY", lack) for lack in facts.lacks
    ]
    if facts.migrations and not facts.knows_its_life:
        what = "a restore, or a failover that loses commits, is not noticed (gateway doctor)"
        found.append(Finding("warning", "DATABASE_URL", what))
    return found


def _secrets(settings: Settings) -> Iterator[Finding]:
    key = settings.http.api_key.get_secret_value()
    if not key:
        yield Finding("error", "HTTP_API_KEY", "missing: every request would be refused")
    elif not key.startswith("sha512:") and (why := _weak(key)):
        yield Finding("error", "HTTP_API_KEY", why)
    keys = settings.checkpoint.keys.get_secret_value()
    if not keys:
        yield Finding("error", "CHECKPOINT_KEYS", "missing: device stores cannot be encrypted")
    hook = settings.global_webhooks
    if hook.url and not hook.hmac_key.get_secret_value():
        yield Finding(
            "warning", "WHATSAPP_HOOK_HMAC_KEY", "missing: receivers cannot tell forgeries"
        )
    if settings.whatsapp.sandbox:
        yield Finding("error", "WHATSAPP_SANDBOX_ROOT_KEY", "set: this is not the real WhatsApp")


def _stores(settings: Settings) -> Iterator[Finding]:
    stores = settings.stores
    for variable, secret in (
        ("DATABASE_URL", stores.database_url),
        ("REDIS_URL", stores.redis_url),
    ):
        parts = urlsplit(secret.get_secret_value())
        near = _local(parts.hostname or "")
        if parts.password and parts.password.lower() in _WEAK:
            yield Finding("error", variable, "its password is a default one")
        elif not parts.password and not near:
            yield Finding("error", variable, "no password, on another machine")
        if not near and variable == "DATABASE_URL" and "sslmode=" not in parts.query:
            yield Finding("warning", variable, "no sslmode: add sslmode=verify-full")
        if not near and variable == "REDIS_URL" and parts.scheme != "rediss":
            yield Finding("warning", variable, "not encrypted: use rediss://")
    for variable, secret in (
        ("S3_ACCESS_KEY", stores.s3_access_key),
        ("S3_SECRET_KEY", stores.s3_secret_key),
    ):
        text = secret.get_secret_value()
        if not text:
            yield Finding("error", variable, "missing")
        elif text.lower() in _WEAK:
            yield Finding("error", variable, "a default one")
    if not stores.s3_secure and not _local(stores.s3_endpoint.rpartition(":")[0]):
        yield Finding("warning", "S3_SECURE", "off towards another machine")


def _front(settings: Settings) -> Iterator[Finding]:
    front, open_to_all = settings.front, not _local(settings.http.host)
    if open_to_all and not front.control_allow:
        yield Finding("warning", "FRONT_CONTROL_ALLOW", "keys can be made from any address")
    if front.cors_origins.strip() == "*":
        yield Finding("warning", "FRONT_CORS_ORIGINS", "any page may call")
    if open_to_all and not front.hsts_seconds:
        yield Finding("warning", "FRONT_HSTS_SECONDS", "0: set it once TLS is in front, or here")
    if open_to_all and settings.http.scheme == "http" and not front.trusted_proxies:
        yield Finding("warning", "HTTP_TLS_CERT_FILE", "neither TLS here nor a proxy in front")
    limits = settings.limits
    for variable in ("per_key", "per_tenant", "per_session", "per_stranger"):
        if not getattr(limits, variable):
            yield Finding("warning", f"LIMIT_{variable.upper()}", "no limit")
    if settings.pacing.enabled is False:
        yield Finding("warning", "PACING_ENABLED", "off: WhatsApp bans numbers that send so")
    for variable, text in (
        ("WEBHOOK_ALLOW", settings.webhooks.allow),
        ("MEDIA_FETCH_ALLOW", settings.media.fetch_allow),
    ):
        if "/0" in text:
            yield Finding("error", variable, "callers can reach every private address")


def _tokens(settings: Settings) -> Iterator[Finding]:
    secret = settings.jwt.secret.get_secret_value()
    if secret and (why := _weak(secret)):
        yield Finding("error", "JWT_SECRET", why)
    if settings.jwt.jwks.startswith("http://") and not _local(
        urlsplit(settings.jwt.jwks).hostname or ""
    ):
        yield Finding("error", "JWT_JWKS", "not encrypted: who is in between makes tokens")


def _weak(secret: str) -> str:
    """Why; empty when it is not."""
    if secret.lower() in _WEAK:
        return "a default one"
    counts = Counter(secret)
    per_character = -sum(n / len(secret) * math.log2(n / len(secret)) for n in counts.values())
    if per_character * len(secret) < _ENOUGH_BITS:
        return "weak: take 32 random characters, as of `openssl rand -base64 32`"
    return ""


def _local(host: str) -> bool:
    host = host.strip("[]")
    if host in {"localhost", ""}:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
