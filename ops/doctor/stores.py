"""The stores: whether they answer, keep what is written, and fit to our secrets and clock."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

from redis import asyncio as redis

from cluster.domain.errors import GatewayError
from cluster.settings import Settings
from cluster.stores import Stores
from cluster.stores import migrate as migrations
from cluster.stores.inspection import ServerFacts
from cluster.stores.redis_errors import REDIS_ERRORS
from ops.doctor.check import Check, Verdict

__all__ = ["judged", "stores"]

#: Tokens are judged by our clock, leases by PostgreSQL's; people read both in one log.
_SKEW_SECONDS, _SKEW_BAD = 1.0, 30.0
_OLDEST = 14_00_00
_KNOWN_MIGRATIONS = len(list((Path(migrations.__file__).parent / "sql").glob("*.sql")))


async def stores(settings: Settings) -> AsyncIterator[Check]:
    """Every store is looked at, whatever the others answer."""
    try:
        opened = await Stores.open(settings)
    except GatewayError as error:
        yield _check("postgresql", Verdict.ERROR, error.detail, "see DATABASE_URL")
        return
    try:
        async for check in _postgresql(opened, settings):
            yield check
        yield await _redis(settings)
        yield await _objects(opened)
    finally:
        await opened.close()


async def _postgresql(opened: Stores, settings: Settings) -> AsyncIterator[Check]:
    try:
        facts = await opened.inspection.server()
    except GatewayError as error:
        yield _check("postgresql", Verdict.ERROR, error.detail, "see DATABASE_URL")
        return
    for check in judged(facts, settings):
        yield check
    if facts.migrations:
        yield await _keys(opened, settings)


def judged(facts: ServerFacts, settings: Settings) -> list[Check]:
    """What PostgreSQL reports of itself, beside what this gateway needs."""
    relaxed = settings.stores.database_durability == "relaxed"
    free = facts.max_connections - facts.connections
    most = settings.connections(sessions=facts.sessions, nodes=max(1, facts.nodes))
    skew = abs(facts.ahead)
    clock = Verdict.OK if skew < _SKEW_SECONDS else Verdict.WARNING
    migrated = facts.migrations >= _KNOWN_MIGRATIONS
    return [
        _check(
            "postgresql",
            Verdict.OK if facts.number >= _OLDEST else Verdict.ERROR,
            facts.version,
            "PostgreSQL 14 or newer",
        ),
        _check(
            "durability",
            (Verdict.WARNING if relaxed else Verdict.ERROR) if facts.lacks else Verdict.OK,
            "; ".join(facts.lacks) or facts.durability,
            "accepted and received messages would be lost: see docs/operations.md, PostgreSQL; "
            "DATABASE_DURABILITY=relaxed if that is as you want it",
        ),
        _check(
            "connections",
            Verdict.OK if free > 20 and most < facts.max_connections else Verdict.WARNING,
            f"{facts.connections} of {facts.max_connections} taken; {facts.sessions} sessions on "
            f"{facts.nodes} nodes hold {most} at most",
            f"raise max_connections of PostgreSQL above {most}, or lower DATABASE_POOL_MAX",
        ),
        _check(
            "clock",
            clock if skew < _SKEW_BAD else Verdict.ERROR,
            f"PostgreSQL is {facts.ahead:+.3f} s from here",
            "run NTP on both machines",
        ),
        _check(
            "schema",
            Verdict.OK if migrated else Verdict.WARNING,
            f"{facts.migrations} of {_KNOWN_MIGRATIONS} migrations",
            "gateway migrate (`up` does it)",
        ),
        _check(
            "restores",
            Verdict.OK if facts.knows_its_life or not migrated else Verdict.WARNING,
            "are noticed" if facts.knows_its_life else "are not noticed",
            "the database's user may not call pg_control_system() or pg_walfile_name(): grant it "
            "that, or after a restore or failover follow docs/operations.md",
        ),
    ]


async def _keys(opened: Stores, settings: Settings) -> Check:
    """Every checkpoint must be readable with the keys there are."""
    present = {
        part.strip().partition(":")[0]
        for part in settings.checkpoint.keys.get_secret_value().split(",")
    }
    used = await opened.inspection.checkpoint_keys()
    missing = {key: count for key, count in used.items() if key not in present}
    used_keys = (
        ", ".join(f"{key}: {count} sessions" for key, count in sorted(used.items())) or "none"
    )
    return Check(
        group="secrets",
        name="checkpoint keys in use",
        verdict=Verdict.ERROR if missing else Verdict.OK,
        found=used_keys,
        remedy=f"CHECKPOINT_KEYS lacks {', '.join(sorted(missing))}: those sessions cannot move"
        if missing
        else "",
    )


async def _redis(settings: Settings) -> Check:
    timeout = settings.stores.store_timeout_seconds
    client: redis.Redis = redis.Redis.from_url(
        settings.stores.redis_url.get_secret_value(), socket_timeout=timeout
    )
    try:
        facts = await client.info("server")
    except REDIS_ERRORS as error:
        # A cache: the gateway works without it.
        return _check("redis", Verdict.WARNING, str(error) or type(error).__name__, "see REDIS_URL")
    finally:
        await client.aclose()
    return _check("redis", Verdict.OK, str(facts.get("redis_version", "?")), "")


async def _objects(opened: Stores) -> Check:
    """Write, read back, remove."""
    key, content = f"doctor/{secrets.token_hex(8)}", secrets.token_bytes(64)
    try:
        await opened.objects.ensure_bucket()
        await opened.objects.put(key, content)
        same = await opened.objects.get(key) == content
        await opened.objects.delete(key)
    except GatewayError as error:
        return _check("s3", Verdict.ERROR, error.detail, "see S3_ENDPOINT and its keys")
    verdict = Verdict.OK if same else Verdict.ERROR
    return _check("s3", verdict, "written, read, removed", "it does not give back what it got")


def _check(name: str, verdict: Verdict, found: str, remedy: str) -> Check:
    advice = remedy if verdict is not Verdict.OK else ""
    return Check(group="stores", name=name, verdict=verdict, found=found, remedy=advice)
