"""Processes are known by pid and beginning, and end even when they do not want to."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from ops.local.processes import ProcessId, descendants, end_all

_STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(60)
"""
_PARENT = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def spawned() -> Iterator[list[subprocess.Popen[str]]]:
    children: list[subprocess.Popen[str]] = []
    yield children
    for child in children:
        if root := ProcessId.of(child.pid):
            end_all(descendants(root), patience=0)
        child.communicate()


def _spawn(spawned: list[subprocess.Popen[str]], code: str) -> ProcessId:
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    spawned.append(child)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    found = ProcessId.of(child.pid)
    assert found is not None
    return found


def test_a_pid_that_is_somebody_elses_by_now_is_left_alone(
    spawned: list[subprocess.Popen[str]],
) -> None:
    present = _spawn(spawned, _PARENT)
    earlier = ProcessId(pid=present.pid, created=present.created - 100)
    assert not earlier.alive
    assert end_all([earlier], patience=1) == []
    assert present.alive


def test_what_ignores_sigterm_is_killed(spawned: list[subprocess.Popen[str]]) -> None:
    stubborn = _spawn(spawned, _STUBBORN)
    assert end_all([stubborn], patience=0.2) == [stubborn.pid]
    assert not stubborn.alive


def test_a_family_is_the_process_and_what_it_started(
    spawned: list[subprocess.Popen[str]],
) -> None:
    parent = _spawn(spawned, _PARENT)
    family = descendants(parent)
    assert parent in family
    assert len(family) == 2
    end_all(family, patience=2)
    assert not any(one.alive for one in family)


def test_one_that_its_parent_does_not_ask_about_is_not_waited_for(
    spawned: list[subprocess.Popen[str]],
) -> None:
    # A child of this process, which asks about it at the very end: it stays as a zombie.
    ends_at_once = _spawn(spawned, _PARENT)
    began = time.monotonic()
    end_all(descendants(ends_at_once), patience=30)
    assert time.monotonic() - began < 20
    assert not ends_at_once.alive
