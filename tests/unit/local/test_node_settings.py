"""The settings of a node of many machines are checked before anything starts, in words."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cluster.domain.errors import Invalid
from ops.cli.application import application
from ops.local.layout import Layout
from ops.local.machine import Machine, NodeOptions
from ops.local.node_settings import problems, read_settings

_GOOD = {
    "DATABASE_URL": "postgresql://gateway:x@10.0.0.5:5432/gateway",
    "REDIS_URL": "redis://:x@10.0.0.5:6379/0",
    "S3_ENDPOINT": "10.0.0.5:9000",
    "S3_ACCESS_KEY": "a",
    "S3_SECRET_KEY": "b",
    "HTTP_API_KEY": "c",
    "CHECKPOINT_KEYS": "k1:d",
    "RAY_AUTH_TOKEN": "e" * 64,
}


def _problems(**changed: str) -> list[str]:
    return problems({**_GOOD, **changed}, own_machine=True)


def test_good_settings_have_no_problem() -> None:
    assert _problems() == []
    assert _problems(HTTP_HOST="10.0.0.7", RAY_REDIS_ADDRESS="10.0.0.6:6379", PATH="/bin") == []


@pytest.mark.parametrize("name", list(_GOOD))
def test_each_that_is_missing_is_named(name: str) -> None:
    (problem,) = _problems(**{name: ""})
    assert name in problem


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"RAY_AUTH_TOKEN": "short"}, "RAY_AUTH_TOKEN"),
        ({"HTTP_HOST": "127.0.0.1"}, "HTTP_HOST"),
        ({"HTTP_HOST": "localhost"}, "HTTP_HOST"),
        ({"DATABASE_URL": "postgresql://a:b@127.0.0.1:5432/c"}, "DATABASE_URL"),
        ({"REDIS_URL": "redis://localhost:6379/0"}, "REDIS_URL"),
        ({"S3_ENDPOINT": "127.0.0.1:9000"}, "S3_ENDPOINT"),
        ({"RAY_REDIS_ADDRESS": "127.0.0.1:6379"}, "RAY_REDIS_ADDRESS"),
        ({"HTTP_REPLICA": "2"}, "HTTP_REPLICAS"),
        ({"LEASE_TTL_SECOND": "5"}, "LEASE_TTL_SECONDS"),
    ],
)
def test_what_would_not_work_is_reported(changed: dict[str, str], named: str) -> None:
    (problem,) = _problems(**changed)
    assert named in problem


def test_a_value_that_is_out_of_range_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PORT", "99999")
    (problem,) = problems(_GOOD, own_machine=True)
    assert "port" in problem


def test_on_one_machine_loopback_is_fine() -> None:
    near = {**_GOOD, "DATABASE_URL": "postgresql://a:b@127.0.0.1:5432/c", "HTTP_HOST": "127.0.0.1"}
    assert problems(near, own_machine=False) == []


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gateway.env"
    path.write_text("HTTP_API_KEY='with space'\n# a comment\nexport S3_ENDPOINT=a:1\n")
    path.chmod(0o644)
    with pytest.raises(Invalid, match="chmod 640"):
        read_settings(path)
    path.chmod(0o640)
    assert read_settings(path) == {"HTTP_API_KEY": "with space", "S3_ENDPOINT": "a:1"}


def test_the_command_refuses_with_every_problem_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "gateway.env"
    # What the command takes into its environment is gone after the test.
    monkeypatch.setenv("HTTP_HOST", "127.0.0.1")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "short")
    path.write_text("HTTP_HOST=127.0.0.1\nRAY_AUTH_TOKEN=short\n")
    path.chmod(0o600)
    arguments = ["node", "--head", "--check", "--address", "10.0.0.7", "--settings", str(path)]
    result = CliRunner().invoke(application, arguments)
    assert result.exit_code == 1
    for name in ("DATABASE_URL", "CHECKPOINT_KEYS", "HTTP_HOST", "RAY_AUTH_TOKEN"):
        assert name in result.output


@pytest.mark.parametrize("arguments", [[], ["--head", "--join", "a"]])
def test_head_or_join(arguments: list[str]) -> None:
    result = CliRunner().invoke(application, ["node", *arguments])
    assert result.exit_code == 1
    assert "--join HEAD" in result.output


@pytest.mark.attack
def test_no_cluster_is_open_to_whoever_reaches_its_ports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What every process of a node has: the units, the cluster file and the docs start nodes by
    this command alone (tests/unit/deploy/test_cluster_file.py)."""
    for name, value in _GOOD.items():
        monkeypatch.setenv(name, value)
    data = tmp_path / "node"
    machine = Machine(NodeOptions(data=data, name="one", host="10.0.0.7"))
    environment = machine._environment()
    assert environment["RAY_AUTH_MODE"] == "token"
    assert environment["FORWARDED_ALLOW_IPS"] == "nobody"
    assert not Layout.at(data).exposures()
    monkeypatch.setenv("RAY_AUTH_TOKEN", "")
    with pytest.raises(Invalid):
        machine._environment()
