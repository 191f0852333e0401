"""Periodic work of one process falls on the same moments."""

from __future__ import annotations

import os

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


def test_processes_have_ticks_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set()
    for process in (100, 101, 102):
        monkeypatch.setattr(os, "getpid", lambda process=process: process)
        seen.add(round(at(5.0), 2))
    assert len(seen) == 3
