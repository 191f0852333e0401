"""What waits for the processes of a Ray node, with programs of its own in their place."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from ops.local import ray_watch

#: Starts two processes and one that leaves an orphan, then becomes the watch.
_NODE = """
import ctypes, json, os, subprocess, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
end = lambda: ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
store = [sys.executable, "-S", "-c", sys.argv[2]]
def started_store(command):
    store = subprocess.Popen(command, preexec_fn=end)
    if len(sys.argv) > 3:
        store.wait()
    return store.pid
started = {
    "gcs_server": started_store(store),
    "raylet": subprocess.Popen(["sleep", "60"], preexec_fn=end).pid,
    "monitor": subprocess.Popen(["sleep", "60"], preexec_fn=end).pid,
}
subprocess.Popen(["sh", "-c", "sleep 0.3 & exit"]).wait()
file, here = os.pipe()
os.write(here, json.dumps({"processes": started, "control_store": store}).encode())
os.close(here)
os.set_inheritable(file, True)
print(json.dumps(started), flush=True)
os.execv(sys.executable, [sys.executable, "-I", "-S", sys.argv[1], str(file)])
"""
_STORE = "import time; time.sleep(60)"


class _Watched:
    def __init__(self, store: str = _STORE, *waited_for: str) -> None:
        program = str(Path(ray_watch.__file__))
        self.process = subprocess.Popen(
            [sys.executable, "-c", _NODE, program, store, *waited_for],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.pids: dict[str, int] = json.loads(self.process.stdout.readline())

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    def started_again(self, store: str) -> bool:
        for one in self.children():
            # An orphan may end meanwhile.
            with contextlib.suppress(psutil.NoSuchProcess):
                if one.pid not in self.pids.values() and store in one.cmdline():
                    return True
        return False

    def end(self) -> str:
        self.process.kill()
        return self.process.communicate(timeout=10)[1]


def _until(found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_control_store_that_ended_is_started_again_and_nothing_else_is_touched() -> None:
    watched = _Watched()
    try:
        os.kill(watched.pids["gcs_server"], signal.SIGKILL)
        _until(lambda: watched.started_again(_STORE))
        assert psutil.pid_exists(watched.pids["raylet"])
        # The orphan that it took over ended, and is no zombie.
        _until(lambda: len(watched.children()) == 3)
    finally:
        assert "started again" in watched.end()
    _until(lambda: not psutil.pid_exists(watched.pids["raylet"]))


@pytest.mark.parametrize("waited_for", [(), ("before",)])
def test_one_that_ends_again_and_again_ends_the_node(waited_for: tuple[str, ...]) -> None:
    watched = _Watched("raise SystemExit(3)", *waited_for)
    _, logged = watched.process.communicate(timeout=30)
    assert watched.process.returncode == 1
    assert logged.count("started again") == 5
    _until(lambda: not psutil.pid_exists(watched.pids["raylet"]))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_node_without_its_raylet_ends(how: signal.Signals) -> None:
    watched = _Watched()
    os.kill(watched.pids["raylet"], how)
    watched.process.communicate(timeout=20)
    assert watched.process.returncode == 1
    _until(lambda: not psutil.pid_exists(watched.pids["gcs_server"]))


def test_what_was_asked_to_end_may_and_what_crashed_ends_the_node() -> None:
    watched = _Watched()
    os.kill(watched.pids["monitor"], signal.SIGTERM)
    _until(lambda: watched.pids["monitor"] not in {one.pid for one in watched.children()})
    assert watched.process.poll() is None
    watched.end()
    watched = _Watched()
    os.kill(watched.pids["monitor"], signal.SIGSEGV)
    watched.process.communicate(timeout=20)
    assert watched.process.returncode == 1


def test_what_stands_for_an_agent_ends_with_its_raylet() -> None:
    program = str(Path(ray_watch.__file__))
    raylet = (
        "import os, subprocess, sys, time; os.environ['RAY_RAYLET_PID'] = str(os.getpid()); "
        "print(subprocess.Popen([sys.executable, '-I', '-S', sys.argv[1], 'agent']).pid, "
        "flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", raylet, program], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        agent = int(parent.stdout.readline())
        assert psutil.pid_exists(agent)
        parent.kill()
    _until(lambda: not psutil.pid_exists(agent) or psutil.Process(agent).status() == "zombie")
