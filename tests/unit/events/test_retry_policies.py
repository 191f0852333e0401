"""Pauses between tries, as WAHA's `retries` have them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from cluster.webhooks.retry import RetryPolicy

LONGEST = timedelta(minutes=10)


def pauses(configured: dict[str, Any] | None, tries: int, *, chance: float = 0.5) -> list[float]:
    """Seconds after each failed try; -1: no further one."""
    policy = RetryPolicy.of(configured)
    found = [policy.pause(n, chance=chance, longest=LONGEST) for n in range(1, tries + 1)]
    return [-1 if pause is None else pause.total_seconds() for pause in found]


@pytest.mark.parametrize(
    ("configured", "expected"),
    [
        ({"policy": "constant", "delaySeconds": 3, "attempts": 2}, [3, 3, -1]),
        ({"policy": "linear", "delaySeconds": 3, "attempts": 3}, [3, 6, 9, -1]),
        ({"policy": "exponential", "delaySeconds": 2, "attempts": 4}, [2, 4, 8, 16, -1]),
        ({"policy": "linear", "delaySeconds": 400, "attempts": 3}, [400, 600, 600, -1]),
        ({"delaySeconds": 0, "attempts": 0}, [-1]),
        ({"attempts": 1}, [2, -1]),
    ],
)
def test_how_the_pause_grows(configured: dict[str, Any], expected: list[float]) -> None:
    assert pauses(configured, len(expected)) == expected


def test_exponential_pauses_are_jittered_by_a_fifth() -> None:
    configured = {"policy": "exponential", "delaySeconds": 10, "attempts": 5}
    assert pauses(configured, 2, chance=0.0) == [8, 16]
    assert pauses(configured, 2, chance=1.0) == [12, 24]


def test_a_receiver_may_be_away_for_an_hour_when_nothing_is_configured() -> None:
    assert sum(pauses(None, 15, chance=0.0)) > 3600
    assert pauses(None, 16)[-1] == -1
