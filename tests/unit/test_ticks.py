"""Periodic work of a machine falls on the same moments, but for that of many processes alike."""

from __future__ import annotations

import subprocess
import sys

import pytest

from actors.ticks import until_tick


def at(now: float, seconds: float = 1.0) -> float:
    return until_tick(seconds, lambda: now)


@pytest.mark.parametrize("seconds", [0.5, 1.0, 3.0])
def test_whoever_asks_between_two_ticks_waits_for_the_same_one(seconds: float) -> None:
    begins = 100.0 + at(100.0, seconds)
    for part in (0.001, 0.3, 0.999):
        now = begins + part * seconds
        assert now + at(now, seconds) == pytest.approx(begins + seconds)


def test_it_is_more_than_none_and_no_longer_than_asked_for() -> None:
    for now in range(1000):
        assert 0 < at(now * 0.37) <= 1.0


def test_processes_have_the_same_ticks_but_those_of_many_alike() -> None:
    assert {_elsewhere("pass") for _ in range(3)} == {0.7}
    assert len({_elsewhere("tick_apart()") for _ in range(3)}) == 3


def _elsewhere(first: str) -> float:
    """Until the next tick, in a process of its own that does this first."""
    code = f"from actors.ticks import *; {first}; print(until_tick(1.0, lambda: 5.3))"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return round(float(ran.stdout), 3)
