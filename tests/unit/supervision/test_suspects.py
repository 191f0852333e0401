"""Which processes without a lease are ended, and which are left alone."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from actors.supervisor.host_actors import Pulse
from actors.supervisor.suspects import Suspects, is_ownerless
from cluster.settings import SupervisorSettings
from cluster.stores.starts import Start

LIMITS = SupervisorSettings(
    _env_file=os.devnull,  # type: ignore[call-arg, unused-ignore]
    unresponsive_seconds=15,
    ownerless_seconds=120,
)
OWNED = Start(
    session_id=1, owner_node="n", epoch=1, released=False, lapsed=-4.0, waits=-100.0, parked_on=""
)


def _first_end(pulses: dict[float, Pulse], usual: Pulse) -> float | None:
    """Second at which the process is ended, looked at once a second, of 300."""
    now = 0.0
    suspects = Suspects(LIMITS, clock=lambda: now)
    for second in range(300):
        now = float(second)
        for session in suspects.watch({1}):
            if suspects.judge(session, pulses.get(now, usual)):
                return now
    return None


@pytest.mark.parametrize(
    ("usual", "ended"),
    [
        (Pulse.SILENT, 15),
        (Pulse.ANSWERS, 120),
        (Pulse.COMING, None),
        (Pulse.BARRED, 5),
    ],
)
def test_how_long_a_process_without_a_lease_is_borne(usual: Pulse, ended: float | None) -> None:
    assert _first_end({}, usual) == ended


def test_an_answer_or_a_restart_begins_the_patience_anew() -> None:
    assert _first_end({14.0: Pulse.ANSWERS}, Pulse.SILENT) == 29
    assert _first_end({14.0: Pulse.COMING}, Pulse.SILENT) == 29


def test_a_lease_in_between_clears_the_suspicion() -> None:
    now = 0.0
    suspects = Suspects(LIMITS, clock=lambda: now)
    suspects.watch({1})
    now = 14.0
    assert suspects.watch(set()) == []
    now = 16.0
    assert suspects.watch({1}) == []
    assert not suspects.judge(1, Pulse.SILENT)


@pytest.mark.parametrize(
    ("change", "ownerless"),
    [
        ({}, False),
        ({"lapsed": 0.5}, False),
        ({"lapsed": 2.0}, True),
        ({"released": True}, True),
        ({"lapsed": float("inf"), "released": True}, True),
        ({"lapsed": 60.0, "waits": 3.0}, False),
        ({"lapsed": 60.0, "parked_on": "n"}, False),
    ],
)
def test_who_waits_for_its_turn_or_is_parked_is_no_suspect(
    change: dict[str, object], ownerless: bool
) -> None:
    assert is_ownerless(replace(OWNED, **change)) is ownerless  # type: ignore[arg-type]
