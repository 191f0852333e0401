"""What probes are answered while stores are away."""

from __future__ import annotations

from typing import cast

import pytest
from fake_gateway import FakeGateway

from api.gateway import Gateway
from api.models.observability import Health, Ping, Readiness
from api.routers.observability import PUBLIC, HealthProbe, ProbeRoute
from cluster.domain.errors import Unavailable


@pytest.mark.parametrize(
    ("down", "status"),
    [
        ((), "ready"),
        (("redis",), "degraded"),
        (("s3", "redis"), "degraded"),
        (("postgresql",), "unready"),
        (("postgresql", "s3"), "unready"),
        (("gateway",), "unready"),
    ],
)
def test_only_postgresql_keeps_a_replica_from_being_ready(
    down: tuple[str, ...], status: str
) -> None:
    names = {"postgresql", "redis", "s3", *down}
    health = Health.of({name: {"ok": name not in down} for name in names})
    found = Readiness.of(health)
    assert found.status == status
    assert {name for name, part in found.parts.items() if part.effect} == set(down)
    assert found.minimal().parts == {}


def test_a_promise_that_the_library_does_not_keep_degrades_a_replica() -> None:
    health = Health.of({"postgresql": {"ok": True}})
    smaller = {"message_ids": "WhatsApp knows a message by an id of the library's own"}
    found = Readiness.of(health, smaller)
    assert found.status == "degraded"
    assert found.smallerPromises == smaller
    assert found.minimal().smallerPromises == {}
    assert Readiness.of(Health.of({"postgresql": {"ok": False}}), smaller).status == "unready"


def test_a_probe_that_is_answered_at_once_is_open_to_all() -> None:
    assert ProbeRoute("/ping", Ping).path in PUBLIC
    with pytest.raises(ValueError, match="/api/server/version is not open to all"):
        ProbeRoute("/api/server/version", Ping)


def test_sessions_that_nobody_owns_degrade_it() -> None:
    health = Health.of({"postgresql": {"ok": True}})
    assert Readiness.of(health).status == "ready"
    found = Readiness.of(health, ownerless=2)
    assert (found.status, found.ownerlessSessions) == ("degraded", 2)
    assert found.minimal().ownerlessSessions == 0, "shown to the operator only"


async def test_each_store_is_reported_while_owners_cannot_be_counted() -> None:
    class WithoutPostgresql(FakeGateway):
        async def ownerless(self) -> int:
            raise Unavailable("PostgreSQL is unreachable")

    probe = HealthProbe()
    health = await probe.take(cast(Gateway, WithoutPostgresql(store_ok=False)))
    assert health.details["postgresql"]["status"] == "down"
    assert health.details["redis"]["status"] == "up"
