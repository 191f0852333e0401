"""The kernel ends a process that cannot fence itself, stopped or not."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAM = """
import sys, time
from actors.session.dead_man import DeadMan
switch = DeadMan()
mode = sys.argv[1]
switch.arm(time.monotonic() + (2.5 if mode == "renew" else 1.0))
print("armed", flush=True)
if mode == "disarm":
    switch.disarm()
    time.sleep(2)
    sys.exit(0)
for _ in range(12):
    time.sleep(0.25)
    if mode == "renew":
        # Long: the machine may be busy, and it is the first deadline that must not strike.
        switch.arm(time.monotonic() + 30)
sys.exit(0)
"""


def begin(mode: str) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, mode], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "armed\n"
    return child


@pytest.mark.parametrize("stopped", [False, True])
def test_it_strikes_whether_the_process_runs_or_is_stopped(stopped: bool) -> None:
    child = begin("nothing")
    began = time.monotonic()
    if stopped:
        child.send_signal(signal.SIGSTOP)
    assert child.wait(10) == -signal.SIGKILL
    assert time.monotonic() - began < 2.0


@pytest.mark.parametrize("mode", ["renew", "disarm"])
def test_it_spares_who_renews_and_who_lets_go(mode: str) -> None:
    assert begin(mode).wait(10) == 0
