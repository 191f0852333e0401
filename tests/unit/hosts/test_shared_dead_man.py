"""One dead man's switch for many sessions."""

from __future__ import annotations

import subprocess
import sys

from actors.hosts.shared_dead_man import SharedDeadMan


class Recorded:
    """The switch of the process, as it was last set."""

    def __init__(self) -> None:
        self.deadline: float | None = None
        self.settings = 0

    def arm(self, deadline: float) -> None:
        self.deadline = deadline
        self.settings += 1

    def disarm(self) -> None:
        self.deadline = None
        self.settings += 1


def test_it_strikes_at_the_earliest_deadline_of_those_that_are_armed() -> None:
    process = Recorded()
    shared = SharedDeadMan(process)
    first, second, third = shared.switch(), shared.switch(), shared.switch()
    first.arm(10.0)
    second.arm(12.0)
    third.arm(11.0)
    assert process.deadline == 10.0
    first.arm(13.0)
    assert process.deadline == 11.0
    third.disarm()
    assert process.deadline == 12.0


def test_a_session_that_lets_go_leaves_those_of_its_neighbours_armed() -> None:
    process = Recorded()
    shared = SharedDeadMan(process)
    lost, neighbour = shared.switch(), shared.switch()
    neighbour.arm(20.0)
    lost.arm(10.0)
    lost.disarm()
    assert process.deadline == 20.0
    neighbour.disarm()
    assert process.deadline is None
    lost.disarm()


def test_the_kernels_timer_is_set_only_when_the_earliest_deadline_changes() -> None:
    process = Recorded()
    shared = SharedDeadMan(process)
    switches = [shared.switch() for _ in range(200)]
    for switch in switches:
        switch.arm(10.0)
    for switch in switches[:-1]:
        switch.arm(11.0)
    assert (process.settings, process.deadline) == (1, 10.0)
    switches[-1].arm(11.0)
    assert (process.settings, process.deadline) == (2, 11.0)


def test_a_process_whose_one_session_is_not_renewed_is_killed_although_others_are() -> None:
    done = subprocess.run([sys.executable, "-c", _STUCK], timeout=20, check=False)
    assert done.returncode == -9


_STUCK = """
import time
from actors.hosts.shared_dead_man import SharedDeadMan
from actors.session.dead_man import DeadMan
shared = SharedDeadMan(DeadMan())
stuck, renewed = shared.switch(), shared.switch()
stuck.arm(time.monotonic() + 0.5)
for _ in range(100):
    renewed.arm(time.monotonic() + 5)
    time.sleep(0.05)
"""
