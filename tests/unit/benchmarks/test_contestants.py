"""Every process of a contestant is counted, whatever it calls itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from benchmarks.contest import stacks
from benchmarks.contest.stacks import Stack
from cluster.settings import LimitSettings
from ops.local.orphans import RUN_VARIABLE

_PARENT = """
import os, subprocess, sys, time
run = os.environ.pop("RUN", "")
env = {**os.environ, "GATEWAY_LOCAL_RUN": run} if run else None
child = "import time; print(1, flush=True); time.sleep(60)"
for one in range(2):
    made = subprocess.Popen([sys.executable, "-c", child], env=env, stdout=subprocess.PIPE)
    made.stdout.readline()
print("up", flush=True)
time.sleep(60)
"""


@pytest.fixture
def parent(request: pytest.FixtureRequest) -> Iterator[int]:
    """A process that is not marked itself; its children are, with a run given."""
    made = subprocess.Popen(
        [sys.executable, "-c", _PARENT],
        env={**os.environ, "RUN": request.param},
        stdout=subprocess.PIPE,
    )
    assert made.stdout is not None
    made.stdout.readline()
    stack = _stack(made.pid, request.param)
    family = [process for _, process in stack._processes()]
    yield made.pid
    for process in family:
        process.kill()
    made.wait(10)
    made.stdout.close()


def _stack(pid: int, run: str) -> Stack:
    return Stack(
        name="x", url="", headers={}, control_url="", control_token="", pids=(pid,), run=run
    )


@pytest.mark.parametrize("parent", ["", f"{RUN_VARIABLE}-of-this-test"], indirect=True)
def test_the_first_process_and_all_that_it_started_are_counted_once(
    parent: int, request: pytest.FixtureRequest
) -> None:
    run = request.node.callspec.params["parent"]
    counted = [process.pid for _, process in _stack(parent, run)._processes()]
    assert parent in counted
    assert len(counted) == len(set(counted)) == 3
    assert sum(part["processes"] for part in _stack(parent, run).memory().values()) == 3


def test_the_gateway_is_measured_without_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in stacks._UNLIMITED.items():
        monkeypatch.setenv(name, value)
    settings = LimitSettings()
    assert {settings.per_key, settings.per_tenant, settings.per_session} == {""}
