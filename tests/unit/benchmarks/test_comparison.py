"""The table of a comparison: who is better by how much, and what each lost."""

from __future__ import annotations

from typing import Any

from benchmarks.compare import table


def _figures(rate: float, arrived: int, resting: float) -> dict[str, Any]:
    each = {"per_second": rate, "sent": 100, "arrived": arrived, "processor_ms": {"all": 5.0}}
    return {
        "pair": {"per_second": 1.0},
        "idle": {"around": {"uss": 600.0}},
        "resting": {"serve": resting, "all": resting},
        "send": each,
        "receive": each,
    }


def test_more_is_better_of_rates_and_less_of_costs_and_losses_are_reported_of_all() -> None:
    found = {
        "sessions": 10,
        "workers": 8,
        "seconds": 8.0,
        "cpus": 2,
        "load": 0.5,
        "original": _figures(200.0, 97, 0.0),
        "gateway": _figures(100.0, 100, 30.0),
    }
    lines = table(found).splitlines()
    rows = {cells[1].strip(): cells[2:-1] for line in lines if (cells := line.split("|"))}
    assert len(lines[0].split("|")) == len(lines[1].split("|")) == 6
    assert rows["texts HTTP → phone /s"] == [" 200.0 ", " 100.0 ", " 0.50 × better "]
    assert rows["idle, processor ms a second: everything but the sandbox"] == [
        " 0.0 ",
        " 30.0 ",
        " 0.00 × better ",
    ]
    assert rows["send: lost"][:2] == [" 3 of 100 ", " 0 of 100 "]
