"""`gateway test`: which tests, and how many at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ops.cli.another_user import run_as_another_user
from ops.cli.application import application


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, str]]]:
    """The commands that it starts, which all succeed."""
    commands: list[tuple[list[str], dict[str, str]]] = []

    def run(command: list[str], *, env: dict[str, str], **_: Any) -> Any:
        # What runs beside the tests is there before them, whoever is faster.
        place = len(commands) if "pytest" in command else 0
        commands.insert(place, (command, env))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.delenv("GATEWAY_SLOW_TESTS", raising=False)
    monkeypatch.setattr("ops.cli.checks.subprocess.run", run)
    return commands


def test_coverage_is_reported_when_asked_for(ran: list[tuple[list[str], dict[str, str]]]) -> None:
    for given, wanted in ((["test", "unit", "--coverage"], True), (["test", "unit"], False)):
        assert CliRunner().invoke(application, given).exit_code == 0
        tests, _ = ran[-1]
        assert ("--cov=actors" in tests) == wanted
        assert tests[-1] == "tests/unit"


@pytest.mark.parametrize(
    ("given", "checked", "beside", "slow"),
    [
        ([], True, True, False),
        (["unit"], False, True, False),
        (["fast"], True, True, False),
        (["attack"], False, True, False),
        (["all"], True, True, True),
        (["tests/unit/api", "-x"], True, False, False),
    ],
)
def test_tiers(
    ran: list[tuple[list[str], dict[str, str]]],
    given: list[str],
    checked: bool,
    beside: bool,
    slow: bool,
) -> None:
    assert CliRunner().invoke(application, ["test", *given]).exit_code == 0
    *checks, (tests, environment) = ran
    assert bool(checks) == checked
    assert ("-n" in tests) == beside
    assert environment.get("GATEWAY_SLOW_TESTS", "") == ("1" if slow else "")
    if given in (["unit"], ["fast"]):
        assert tests[-1] == "tests/unit"
    if given == ["attack"]:
        assert tests[-3:] == ["-m", "attack", "tests"]


def test_a_check_beside_the_tests_fails_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def run(command: list[str], **_: Any) -> Any:
        ran.append(command[-1])
        return subprocess.CompletedProcess(command, int("mypy" in command), stdout="[no] type")

    monkeypatch.setattr("ops.cli.checks.subprocess.run", run)
    done = CliRunner().invoke(application, ["test", "fast"])
    assert done.exit_code == 1
    assert "[no] type" in done.output
    assert "tests/unit" in ran, "the tests ran all the same"


def test_as_another_user_only_the_tests_are_run_by_him(
    ran: list[tuple[list[str], dict[str, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    by_him: list[list[str]] = []

    def run(command: list[str], environment: dict[str, str]) -> int:
        by_him.append(command)
        return 3

    monkeypatch.setattr("ops.cli.checks.run_as_another_user", run)
    given = ["test", "attack", "--as-another-user"]
    assert CliRunner().invoke(application, given).exit_code == 1
    assert not ran
    assert by_him[0][-3:] == ["-m", "attack", "tests"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_may_nothing_and_has_a_checkout_of_his_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of root")
    secret.chmod(0o600)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    script = """
import os, pathlib, sys, cluster
here = pathlib.Path.cwd()
assert os.getresuid() == os.getresgid() != (0, 0, 0) and os.getgroups() == [], os.getgroups()
assert pathlib.Path(cluster.__file__).is_relative_to(here), cluster.__file__
assert here.is_relative_to(os.environ["HOME"]) and "XDG_CACHE_HOME" not in os.environ
pathlib.Path("written").touch()
try:
    open(sys.argv[1])
except PermissionError:
    sys.exit(7)
"""
    command = [sys.executable, "-c", script, str(secret)]
    assert run_as_another_user(command, dict(os.environ)) == 7


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="one process runs all tests")
def test_the_tests_of_a_file_stay_with_one_worker(request: pytest.FixtureRequest) -> None:
    assert request.node.nodeid.endswith(f"@{request.path}")
