"""What the user set stays theirs; the rest is made once and kept."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

import cluster.settings as settings_module
from cluster.settings import Settings
from ops.local.user_settings import UserSettings, groups, variables


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in variables():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_without_settings_every_store_is_ours() -> None:
    own = UserSettings.read()
    assert [own.has_database, own.has_redis, own.has_objects] == [False] * 3
    assert own.http_port is None


def test_each_store_can_be_replaced_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere:6379/0")
    own = UserSettings.read()
    assert own.has_redis
    assert not own.has_database
    assert not own.has_objects


def test_secrets_are_made_once(tmp_path: Path) -> None:
    first = UserSettings.read().secrets(tmp_path)
    assert UserSettings.read().secrets(tmp_path) == first
    assert len(base64.b64decode(first["CHECKPOINT_KEYS"].removeprefix("k1:"))) == 32
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_users_secrets_come_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HTTP_API_KEY", "mine")
    assert UserSettings.read().secrets(tmp_path)["HTTP_API_KEY"] == "mine"
    assert not (tmp_path / "http-api-key").exists()


def test_the_demo_knows_every_variable_it_must_not_inherit() -> None:
    assert {"DATABASE_URL", "S3_SECRET_KEY", "HTTP_PORT", "WHATSAPP_PROXY_URL"} <= variables()


def test_every_group_of_settings_is_shown_and_kept_from_demos() -> None:
    of_the_module = {
        one
        for one in vars(settings_module).values()
        if isinstance(one, type) and issubclass(one, BaseSettings) and one is not BaseSettings
    }
    assert {type(group) for group in groups(Settings())} == of_the_module


def test_a_limit_can_be_lifted_by_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMIT_PER_KEY", "none")
    monkeypatch.setenv("LIMIT_PER_TENANT", "")
    limits = settings_module.LimitSettings()
    assert limits.per_key == ""
    assert limits.per_tenant == "60000/minute"


@pytest.mark.parametrize(
    ("chosen", "nodes", "fronts"),
    [
        ({}, 1, 1),
        ({}, 3, 2),
        ({"HTTP_REPLICAS": "1"}, 3, 1),
        ({"HTTP_REPLICAS": "9"}, 3, 3),
        ({"PLACEMENT_FORK": "false"}, 3, 0),
    ],
)
def test_a_node_that_gets_a_replica_forks_it(
    monkeypatch: pytest.MonkeyPatch, chosen: dict[str, str], nodes: int, fronts: int
) -> None:
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    assert UserSettings.read().fronts(nodes) == fronts
