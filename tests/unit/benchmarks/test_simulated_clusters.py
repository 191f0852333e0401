"""The simulation behind docs/scale.md says what it must in cases one can check by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.simulation.costs import Costs
from benchmarks.simulation.failure import lose
from benchmarks.simulation.plan import Loss, Plan
from benchmarks.simulation.steady import steady

NODE = Loss(what="node", share=0.1)
SMALL = Plan(sessions=1_000, nodes=10, per_process=10, starts_per_second=1_000.0)


@pytest.fixture(scope="module")
def costs() -> Costs:
    return Costs.read()


def test_the_same_seed_is_the_same_run(costs: Costs) -> None:
    assert lose(SMALL, costs, NODE) == lose(SMALL, costs, NODE)


def test_load_is_linear_in_sessions(costs: Costs) -> None:
    one, two = steady(SMALL, costs), steady(replace(SMALL, sessions=2_000), costs)
    assert two.pg_cores == pytest.approx(2 * one.pg_cores, rel=0.02)
    assert two.wal_bytes == pytest.approx(2 * one.wal_bytes)


def test_sharing_a_process_makes_renewals_cheap(costs: Costs) -> None:
    alone = steady(replace(SMALL, per_process=1), costs)
    assert steady(SMALL, costs).pg_cores < alone.pg_cores
    assert steady(SMALL, costs).pg_statements < alone.pg_statements / 2


def test_a_lost_node_is_back_after_detection_lease_and_start(costs: Costs) -> None:
    outcome = lose(SMALL, costs, NODE)
    assert outcome.lost_sessions == 100
    assert outcome.unfinished == outcome.dragged_along == 0
    # No sooner than Ray notices, no later than each wait after the other and some slack of polls.
    whole = SMALL.detection + SMALL.lease.ttl_seconds + SMALL.placement.reconcile_seconds
    work = 10 * SMALL.session_resume + SMALL.process_start
    assert SMALL.detection < outcome.p50 <= outcome.last < whole + 3 * work


def test_the_pace_holds_up_a_zone(costs: Costs) -> None:
    zone = Loss(what="zone", share=0.4)
    slow = lose(replace(SMALL, starts_per_second=10.0), costs, zone)
    assert slow.held_up_by == "pace"
    assert slow.last > 400 / 10 * 0.9 > lose(SMALL, costs, zone).last


def test_a_database_that_is_too_small_drags_the_healthy_along(costs: Costs) -> None:
    plan = replace(SMALL, sessions=20_000, starts_per_second=20_000.0, session_resume=0.0)
    idle = steady(plan, costs).pg_cores
    roomy = lose(replace(plan, postgres_cores=idle * 40), costs, NODE)
    tight = lose(replace(plan, postgres_cores=idle * 1.02), costs, Loss(what="zone", share=0.5))
    assert roomy.dragged_along == 0
    assert tight.dragged_along > 0
    assert tight.slowest_store > plan.lease.ttl_seconds - plan.lease.fence_margin_seconds
