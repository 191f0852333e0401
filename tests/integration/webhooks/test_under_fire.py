"""The benchmark of deliveries: faults, a receiver that is away, a killed dispatcher, a restarted
PostgreSQL. Small, and whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.webhook_delivery import run


@pytest.mark.parametrize(
    ("sessions", "events", "away"),
    [
        (6, 25, 2.0),
        pytest.param(
            50,
            400,
            600.0,
            marks=pytest.mark.skipif(
                not os.environ.get("GATEWAY_SLOW_TESTS"), reason="12 min: set GATEWAY_SLOW_TESTS"
            ),
        ),
    ],
)
async def test_nothing_is_missing_or_out_of_order_across_a_kill_and_a_restart(
    tmp_path: Path, sessions: int, events: int, away: float
) -> None:
    # As root, PostgreSQL runs as another user and has to get through.
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o711)
    report = await run(
        tmp_path, sessions=sessions, events=events, fire=True, dispatchers=2, away=away
    )
    assert (report.missing, report.out_of_order, report.dead_letters) == (0, 0, 0)
    assert report.refused > 0
    assert report.away >= away
