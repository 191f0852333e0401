"""The benchmark of deliveries: faults, a receiver that is away, a killed dispatcher, a restarted
PostgreSQL. Small, and whole."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.webhook_delivery import run


@pytest.fixture
def folder() -> Iterator[Path]:
    """As root, PostgreSQL runs as another user and has to get through."""
    with tempfile.TemporaryDirectory(prefix="gateway-fire-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.mark.parametrize(
    ("sessions", "events", "gone"),
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
    folder: Path, sessions: int, events: int, gone: float
) -> None:
    report = await run(
        folder, sessions=sessions, events=events, fire=True, dispatchers=2, gone=gone
    )
    assert (report.missing, report.out_of_order, report.dead_letters) == (0, 0, 0)
    assert report.refused > 0
    assert report.gone >= gone
