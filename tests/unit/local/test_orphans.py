"""A later run ends what an earlier one left, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from ops.embedded.process import ProcessId
from ops.local.orphans import RUN_VARIABLE, end_orphans
from ops.local.state import PartState, State

_CODE = 'import time; print("ready", flush=True); time.sleep(60)'


def _spawn(run: str) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", _CODE],
        env={**os.environ, RUN_VARIABLE: run},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    child.stdout.readline()
    return child


@pytest.fixture
def ours() -> Iterator[subprocess.Popen[str]]:
    child = _spawn("run-of-ours")
    yield child
    child.kill()
    child.communicate()


@pytest.fixture
def other() -> Iterator[subprocess.Popen[str]]:
    child = _spawn("run-of-another")
    yield child
    child.kill()
    child.communicate()


def _state(*parts: PartState) -> State:
    return State(run="run-of-ours", host=ProcessId(pid=1, created=0), parts=list(parts))


def test_what_carries_the_runs_id_is_ended(
    ours: subprocess.Popen[str], other: subprocess.Popen[str]
) -> None:
    assert end_orphans(_state()) == 1
    assert ours.poll() is not None
    assert other.poll() is None


def test_what_was_recorded_is_ended(other: subprocess.Popen[str]) -> None:
    recorded = ProcessId.of(other.pid)
    assert recorded is not None
    assert end_orphans(_state(PartState(name="node-1", family=[recorded]))) == 1
    assert other.poll() is not None
