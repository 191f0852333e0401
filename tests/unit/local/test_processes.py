"""Processes are known by pid and beginning, and end even when they do not want to."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from ops.embedded.process import ProcessId
from ops.local.processes import descendants, end_all

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
    for other in (
        # Of a boot before, of an earlier moment, and as the version before wrote it down.
        ProcessId(pid=present.pid, created="another" + str(present.created)[7:]),
        ProcessId(pid=present.pid, created=str(present.created)[:-1]),
        ProcessId(pid=present.pid, created=psutil.Process(present.pid).create_time() - 100),
    ):
        assert not other.alive
        assert end_all([other], patience=1) == []
    assert present.alive


def test_it_is_the_same_process_when_the_clock_is_set(
    spawned: list[subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    present = _spawn(spawned, _PARENT)
    written = present.model_dump_json()
    began = psutil.Process.create_time
    # What psutil says of a process that began before the clock was set by an hour.
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: began(self) - 3600)
    assert ProcessId.model_validate_json(written).alive
    assert ProcessId.of(present.pid) == present


def test_what_the_version_before_wrote_down_is_found(
    spawned: list[subprocess.Popen[str]],
) -> None:
    present = _spawn(spawned, _PARENT)
    created = psutil.Process(present.pid).create_time()
    assert ProcessId.model_validate({"pid": present.pid, "created": created}).alive


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
