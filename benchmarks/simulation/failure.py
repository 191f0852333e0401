"""A node or a zone dies: when each of its sessions works again, and whom it drags along.

Time goes in steps. Each process renews its lease as `actors.session.lease` does and fences itself
when it has no proof in time; PostgreSQL is one queue with a bounded number of cores, so what
recovery asks of it delays the renewals of those who are well. The same seed gives the same run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from benchmarks.simulation.costs import Costs
from benchmarks.simulation.plan import Loss, Plan
from benchmarks.simulation.steady import steady

__all__ = ["Outcome", "lose"]

Floats: TypeAlias = "np.ndarray[Any, np.dtype[np.float64]]"
Flags: TypeAlias = "np.ndarray[Any, np.dtype[np.bool_]]"

_WARM = 6.0
#: Round trip to a store that has nothing to do, seconds.
_TRIP = 0.002


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of it. Times in seconds from the death to a session being WORKING."""

    lost_sessions: int
    p50: float
    p95: float
    last: float
    #: Sessions on nodes that were well whose owners fenced themselves.
    dragged_along: int
    #: Longest answer of PostgreSQL, seconds.
    slowest_store: float
    #: Simulated seconds ran out before all of them worked.
    unfinished: int
    #: What took longest for the last of them: `detection`, `lease`, `pace`, `nodes` or `store`.
    held_up_by: str


class _Cluster:
    """All processes, as columns."""

    def __init__(self, plan: Plan, costs: Costs) -> None:
        self.plan = plan
        self.costs = costs
        self.random = np.random.default_rng(plan.seed)
        n = plan.processes
        self.size = np.full(n, plan.per_process, dtype=np.int64)
        self.size[-1] = plan.sessions - plan.per_process * (n - 1)
        self.node = np.arange(n) % plan.nodes
        renew = plan.lease.renew_seconds
        self.next_renewal: Floats = self.random.uniform(-renew, 0, n)
        self.sent: Floats = np.full(n, -1.0)
        self.answered: Floats = np.full(n, np.inf)
        self.proven: Floats = self.next_renewal - renew
        self.up: Flags = np.ones(n, dtype=bool)
        #: When it works again, for those that are down.
        self.back: Floats = np.full(n, np.inf)
        self.node_free: Floats = np.zeros(plan.nodes)
        calm = steady(plan, costs)
        self.traffic_cores = calm.pg_cores * (1 - calm.renewals_share)
        self.gate = 0.0
        self.backlog = 0.0
        self.slowest = 0.0

    def asked(self, step: float) -> float:
        """Core-seconds that those who are up ask of PostgreSQL in this step, besides renewals."""
        share = float(self.size[self.up].sum()) / self.plan.sessions
        return self.traffic_cores * share * step * float(self.random.uniform(0.9, 1.1))

    def renew(self, now: float) -> float:
        """Send what is due; core-seconds of it."""
        due = self.up & (self.next_renewal <= now) & ~np.isfinite(self.answered)
        self.sent[due] = now
        self.answered[due] = now + self.latency
        batched = self.plan.per_process > 1
        each = self.costs.pg_renew_batched if batched else self.costs.pg_renew
        return float(self.size[due].sum()) * each / 1000

    def take_answers(self, now: float) -> None:
        """A renewal that was answered proves the lease from the moment it was sent."""
        there = self.up & (self.answered <= now)
        self.proven[there] = self.sent[there]
        self.next_renewal[there] = np.maximum(self.sent[there] + self.plan.lease.renew_seconds, now)
        self.answered[there] = np.inf

    def fence(self, now: float) -> Flags:
        """Those that have no proof in time."""
        lease = self.plan.lease
        patience = lease.ttl_seconds - lease.fence_margin_seconds
        return self.up & (now - self.proven >= patience)

    @property
    def latency(self) -> float:
        """Seconds that PostgreSQL takes to answer now."""
        return _TRIP + self.backlog / self.plan.postgres_cores

    def serve(self, work: float, step: float) -> None:
        """PostgreSQL gets `work` more and does what it can in a step."""
        self.backlog = max(0.0, self.backlog + work - self.plan.postgres_cores * step)
        self.slowest = max(self.slowest, self.latency)

    def restart(self, which: Flags, ready: Floats) -> dict[str, float]:
        """Begin the starts of `which` processes, none before its `ready` (admission by pace, then
        the node's processors); returns when each of these was done for the last of them."""
        plan = self.plan
        order = np.flatnonzero(which)
        order = order[np.argsort(ready[order], kind="stable")]
        times = {"pace": 0.0, "nodes": 0.0}
        burst = plan.placement.starts_burst / plan.pace
        for i in order:
            node, sessions = self.node[i], int(self.size[i])
            self.gate = max(self.gate, ready[i] - burst) + sessions / plan.pace
            admitted = max(ready[i], self.gate)
            work = plan.process_start + sessions * plan.session_resume
            begin = max(admitted, self.node_free[node])
            self.node_free[node] = begin + work / plan.node_cores
            # A process has one interpreter: its own work does not spread over cores.
            done = max(self.node_free[node], begin + work)
            self.back[i] = done + self.latency * 4
            times["pace"] = max(times["pace"], admitted - ready[i])
            times["nodes"] = max(times["nodes"], done - admitted)
        return times


def lose(plan: Plan, costs: Costs, loss: Loss, *, longest: float = 900.0) -> Outcome:
    """Let `loss` happen and follow it until every session works again, `longest` at most."""
    cluster = _Cluster(plan, costs)
    step = 0.1 if plan.processes <= 20_000 else 0.25
    dead_nodes = max(1, round(plan.nodes * loss.share))
    alive_nodes = max(1, plan.nodes - dead_nodes)
    lost: Flags = cluster.node < dead_nodes
    struck = False
    dragged = np.zeros(plan.processes, dtype=bool)
    waits: dict[str, float] = {}
    round_ = max(plan.placement.reconcile_seconds, steady(plan, costs).round_seconds)
    now = 0.0
    while now < _WARM + longest:
        now += step
        work = cluster.asked(step)
        cluster.take_answers(now)
        work += cluster.renew(now)
        returned = ~cluster.up & (cluster.back <= now)
        if returned.any():
            count = float(cluster.size[returned].sum())
            # Status before and after, the claim, the chain's rows.
            work += count * (costs.pg_claim + 2 * costs.pg_status + costs.pg_checkpoint) / 1000
            cluster.up |= returned
            cluster.proven[returned] = cluster.sent[returned] = now
            cluster.next_renewal[returned] = now + plan.lease.renew_seconds
            cluster.answered[returned] = np.inf
        cluster.serve(work, step)
        if not struck and now >= _WARM:
            struck = True
            cluster.up &= ~lost
            lease_ends = cluster.proven + plan.lease.ttl_seconds
            # Isolated actors are Ray's to place; packs are the supervisor's, in its next round.
            noticed = now + plan.detection + (round_ if plan.per_process > 1 else 0.0)
            placed = np.zeros(plan.processes)
            placed[lost] = noticed + np.arange(int(lost.sum())) / plan.actors_per_second
            ready = np.maximum(placed, lease_ends)
            cluster.node[lost] = dead_nodes + np.arange(int(lost.sum())) % alive_nodes
            waits = cluster.restart(lost, ready)
            waits["detection"] = noticed - now
            waits["lease"] = max(0.0, float((lease_ends[lost] - noticed).max()))
            continue
        fenced = cluster.fence(now)
        if struck and fenced.any():
            dragged |= fenced & ~lost
            cluster.up &= ~fenced
            # Its own successor on the same machine knows that it is gone: no lease to wait out.
            cluster.restart(fenced, np.full(plan.processes, now))
        if struck and cluster.up.all():
            break
    times = np.repeat(cluster.back[lost] - _WARM, cluster.size[lost])
    unfinished = int(cluster.size[~cluster.up].sum())
    waits["store"] = cluster.slowest
    return Outcome(
        lost_sessions=int(cluster.size[lost].sum()),
        p50=float(np.percentile(times, 50)),
        p95=float(np.percentile(times, 95)),
        last=float(times.max()),
        dragged_along=int(cluster.size[dragged].sum()),
        slowest_store=cluster.slowest,
        unfinished=unfinished,
        held_up_by=max(waits, key=lambda name: waits[name]),
    )
