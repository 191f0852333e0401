"""Waiting for a host: one's own, another's, one that fails."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.domain.errors import Unavailable
from ops.embedded.process import ProcessId
from ops.local.background import HostOptions, host_command, wait_until_up
from ops.local.layout import Layout
from ops.local.state import Phase, State


def _write(folder: Path, pid: int, phase: Phase, error: str = "") -> State:
    host = ProcessId.of(pid)
    assert host is not None
    state = State(run="r", host=host, phase=phase, error=error)
    state.write(Layout.at(folder).state)
    return state


@pytest.fixture
def ended() -> subprocess.Popen[bytes]:
    """A host that could not have the folder."""
    child = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    child.wait()
    return child


@pytest.fixture
def running() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield child
    child.kill()
    child.wait()


def test_a_host_that_is_up_is_reported(tmp_path: Path, running: subprocess.Popen[bytes]) -> None:
    state = _write(tmp_path, running.pid, Phase.UP)
    seen: list[State] = []
    assert wait_until_up(tmp_path, running, seen.append) == state
    assert seen == [state]


def test_who_loses_the_race_joins_the_winner(
    tmp_path: Path, ended: subprocess.Popen[bytes]
) -> None:
    winner = _write(tmp_path, os.getpid(), Phase.UP)
    assert wait_until_up(tmp_path, ended, lambda state: None) == winner


def test_the_reason_of_a_failure_is_the_hosts(
    tmp_path: Path, running: subprocess.Popen[bytes]
) -> None:
    _write(tmp_path, running.pid, Phase.FAILED, "port 3000 is taken")
    with pytest.raises(Unavailable, match="port 3000 is taken"):
        wait_until_up(tmp_path, running, lambda state: None)


def test_a_host_that_ended_without_a_word_is_no_endless_wait(
    tmp_path: Path, ended: subprocess.Popen[bytes]
) -> None:
    with pytest.raises(Unavailable, match="ended at once"):
        wait_until_up(tmp_path, ended, lambda state: None)


def test_no_secret_is_on_the_hosts_command_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HTTP_API_KEY", "hidden-word")
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:hidden-word@db.example/x")
    command = host_command(HostOptions(data=tmp_path, nodes=2, sandbox=True))
    assert "hidden-word" not in " ".join(command)
