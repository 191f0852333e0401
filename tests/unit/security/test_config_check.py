"""`gateway config check`: what is missing or weak is told, without telling it."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

import serve_app
from cluster.cli.application import application

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
    code, told = checked(monkeypatch)
    assert code == 0, told
    assert "fit for production" in told


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
    code, told = checked(monkeypatch, **{variable: value})
    assert code == 1
    assert f"error {variable}" in told
    assert GOOD["HTTP_API_KEY"] not in told


def test_what_risks_a_ban_or_a_listener_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    code, told = checked(monkeypatch, PACING_ENABLED="false", HTTP_HOST="0.0.0.0")  # noqa: S104
    assert code == 0, "it may be meant"
    assert "warning PACING_ENABLED" in told
    assert "warning HTTP_TLS_CERT_FILE" in told


def test_production_does_not_come_up_with_a_weak_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (GOOD | {"HTTP_API_KEY": "admin", "FRONT_PRODUCTION": "true"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["serve_app"])
    with pytest.raises(SystemExit, match="not fit for production: HTTP_API_KEY"):
        serve_app.main()
