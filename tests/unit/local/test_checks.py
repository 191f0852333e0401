"""`gateway test`: which tests, and how many at a time."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest
from typer.testing import CliRunner

from cluster.cli.application import application


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, str]]]:
    """The commands that it starts, which all succeed."""
    commands: list[tuple[list[str], dict[str, str]]] = []

    def run(command: list[str], *, env: dict[str, str], **_: Any) -> Any:
        commands.append((command, env))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.delenv("GATEWAY_SLOW_TESTS", raising=False)
    monkeypatch.setattr("cluster.cli.checks.subprocess.run", run)
    return commands


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


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="one process runs all tests")
def test_the_tests_of_a_file_stay_with_one_worker(request: pytest.FixtureRequest) -> None:
    assert request.node.nodeid.endswith(f"@{request.path}")
