"""What probes are told while stores are away."""

from __future__ import annotations

import pytest

from api.models.observability import Health, Readiness


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
