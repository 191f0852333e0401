"""`gateway config check`: what is missing or weak is reported, without showing it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from typer.testing import CliRunner

import serve_app
from cluster.settings import Settings
from cluster.stores.inspection import ServerFacts
from ops.cli.application import application
from ops.config_check import durability_findings

GOOD = {
    "GATEWAY_ENV_FILE": "/dev/null",
    "HTTP_API_KEY": "qP3x9vTz0Lw8Rk2Yb7Nd5Hs1",
    "CHECKPOINT_KEYS": "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "DATABASE_URL": "postgresql://gw:Jx82kQmV0zR@db.example/gw?sslmode=verify-full",
    "REDIS_URL": "rediss://:Wm4nZ8tLq2@cache.example:6380/0",
    "S3_ACCESS_KEY": "AK82HSJQ",
    "S3_SECRET_KEY": "mV0zRx82kQJx82kQ",
    "S3_ENDPOINT": "s3.example:443",
    "S3_SECURE": "true",
}


def checked(monkeypatch: pytest.MonkeyPatch, **changes: str) -> tuple[int, str]:
    for name, value in (GOOD | changes).items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(application, ["config", "check"], env={"COLUMNS": "200"})
    return result.exit_code, result.output


def test_good_settings_are_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    code, output = checked(monkeypatch)
    assert code == 0, output
    assert "fit for production" in output


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HTTP_API_KEY", ""),
        ("HTTP_API_KEY", "changeme"),
        ("HTTP_API_KEY", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ("CHECKPOINT_KEYS", ""),
        ("DATABASE_URL", "postgresql://gateway:gateway@db.example/gateway"),
        ("REDIS_URL", "redis://cache.example:6379/0"),
        ("S3_SECRET_KEY", "minioadmin"),
        ("WEBHOOK_ALLOW", "0.0.0.0/0,::/0"),
        ("WHATSAPP_SANDBOX_ROOT_KEY", "00" * 32),
    ],
)
def test_what_is_weak_is_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    code, output = checked(monkeypatch, **{variable: value})
    assert code == 1
    assert f"error {variable}" in output
    assert GOOD["HTTP_API_KEY"] not in output


def test_what_risks_a_ban_or_a_listener_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    code, output = checked(monkeypatch, PACING_ENABLED="false", HTTP_HOST="0.0.0.0")  # noqa: S104
    assert code == 0, "it may be meant"
    assert "warning PACING_ENABLED" in output
    assert "warning HTTP_TLS_CERT_FILE" in output


def test_production_does_not_come_up_with_a_weak_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (GOOD | {"HTTP_API_KEY": "admin", "FRONT_PRODUCTION": "true"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["serve_app"])
    with pytest.raises(SystemExit, match="not fit for production: HTTP_API_KEY"):
        serve_app.main()


FACTS = ServerFacts(
    version="18.1",
    number=180001,
    fsync=True,
    full_page_writes=True,
    synchronous_commit="on",
    synchronous_standby_names="",
    replicas=0,
    synchronous_replicas=0,
    max_connections=100,
    connections=1,
    ahead=0.0,
    migrations=1,
    knows_its_life=True,
    sessions=0,
    nodes=1,
)
SYNCHRONOUS = replace(
    FACTS, synchronous_standby_names="ANY 1 (a, b)", replicas=2, synchronous_replicas=2
)


@pytest.mark.parametrize(
    "facts", [FACTS, SYNCHRONOUS, replace(SYNCHRONOUS, synchronous_commit="remote_apply")]
)
def test_a_database_that_keeps_what_it_commits_is_fit(facts: ServerFacts) -> None:
    assert durability_findings(facts, Settings()) == []


@pytest.mark.parametrize(
    "facts",
    [
        replace(FACTS, fsync=False),
        replace(FACTS, full_page_writes=False),
        replace(FACTS, synchronous_commit="off"),
        replace(FACTS, replicas=1),
        replace(SYNCHRONOUS, synchronous_commit="local"),
        replace(SYNCHRONOUS, synchronous_commit="off"),
    ],
)
def test_a_database_that_may_lose_what_was_accepted_is_refused_unless_allowed(
    facts: ServerFacts,
) -> None:
    settings = Settings()
    (found,) = durability_findings(facts, settings)
    assert (found.level, found.variable) == ("error", "DATABASE_DURABILITY")
    settings.stores.database_durability = "relaxed"
    (found,) = durability_findings(facts, settings)
    assert found.level == "warning"


def test_a_database_that_does_not_know_its_life_is_reported() -> None:
    (found,) = durability_findings(replace(FACTS, knows_its_life=False), Settings())
    assert (found.level, found.variable) == ("warning", "DATABASE_URL")
