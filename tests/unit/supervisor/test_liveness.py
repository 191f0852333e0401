"""Which processes without a lease are ended, and which are left alone."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from actors.supervisor.host_actors import ProbeResult
from actors.supervisor.liveness import Liveness, is_ownerless
from cluster.settings import SupervisorSettings
from cluster.stores.starts import Start

LIMITS = SupervisorSettings(
    _env_file=os.devnull,  # type: ignore[call-arg, unused-ignore]
    unresponsive_seconds=15,
    ownerless_seconds=120,
)
OWNED = Start(
    session_id=1, owner_node="n", epoch=1, released=False, lapsed=-4.0, waits=-100.0, held_on=""
)


def _first_end(probes: dict[float, ProbeResult], usual: ProbeResult) -> float | None:
    """Second at which the process is ended, probed once a second, of 300."""
    now = 0.0
    liveness = Liveness(LIMITS, clock=lambda: now)
    for second in range(300):
        now = float(second)
        for session in liveness.watch({1}):
            if liveness.judge(session, probes.get(now, usual)):
                return now
    return None


@pytest.mark.parametrize(
    ("usual", "ended"),
    [
        (ProbeResult.SILENT, 15),
        (ProbeResult.ANSWERS, 120),
        (ProbeResult.COMING, None),
        (ProbeResult.BARRED, 5),
    ],
)
def test_how_long_a_process_without_a_lease_is_borne(
    usual: ProbeResult, ended: float | None
) -> None:
    assert _first_end({}, usual) == ended


def test_an_answer_or_a_restart_begins_the_patience_anew() -> None:
    assert _first_end({14.0: ProbeResult.ANSWERS}, ProbeResult.SILENT) == 29
    assert _first_end({14.0: ProbeResult.COMING}, ProbeResult.SILENT) == 29


def test_a_lease_in_between_clears_the_suspicion() -> None:
    now = 0.0
    liveness = Liveness(LIMITS, clock=lambda: now)
    liveness.watch({1})
    now = 14.0
    assert liveness.watch(set()) == []
    now = 16.0
    assert liveness.watch({1}) == []
    assert not liveness.judge(1, ProbeResult.SILENT)


@pytest.mark.parametrize(
    ("change", "ownerless"),
    [
        ({}, False),
        ({"lapsed": 0.5}, False),
        ({"lapsed": 2.0}, True),
        ({"released": True}, True),
        ({"lapsed": float("inf"), "released": True}, True),
        ({"lapsed": 60.0, "waits": 3.0}, False),
        ({"lapsed": 60.0, "held_on": "n"}, False),
    ],
)
def test_who_waits_for_its_turn_or_is_held_is_not_watched(
    change: dict[str, object], ownerless: bool
) -> None:
    assert is_ownerless(replace(OWNED, **change)) is ownerless  # type: ignore[arg-type]
