"""What a cluster asks of its stores each second while nothing happens to it."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.simulation.costs import Costs
from benchmarks.simulation.plan import Plan

__all__ = ["Load", "steady"]

#: A status in Redis lives this long and is written anew in half of it, seconds; a node's health is
#: written every 15 s.
_HEARTBEAT = 15.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """Per second, and as a share of what there is (1: all of it)."""

    #: Statements that reach PostgreSQL.
    pg_statements: float
    #: Processor cores that PostgreSQL burns.
    pg_cores: float
    #: Write-ahead log, bytes.
    wal_bytes: float
    redis_writes: float
    redis_cores: float
    s3_puts: float
    s3_cores: float
    #: Seconds that one round of the supervisor over all sessions takes its process.
    round_seconds: float
    #: Share of PostgreSQL that is renewals, and of that which is reconciliation.
    renewals_share: float
    reconcile_share: float
    #: Name of each limited thing, and how much of it is used.
    used: dict[str, float]

    @property
    def first_limit(self) -> tuple[str, float]:
        """What is used most of all."""
        return max(self.used.items(), key=lambda item: item[1])


def steady(plan: Plan, costs: Costs) -> Load:
    """The sum of everything that goes on without a failure."""
    s = float(plan.sessions)
    batched = plan.per_process > 1
    renewals = s / plan.lease.renew_seconds
    renew_ms = costs.pg_renew_batched if batched else costs.pg_renew
    sends, receives = s * plan.sends, s * plan.receives
    receipts = sends * plan.receipts_per_send
    checkpoints = (sends + receives) * plan.checkpoints_per_message
    round_seconds = s * costs.supervisor_reconcile_row / 1000
    rounds = 1 / max(plan.placement.reconcile_seconds, round_seconds)
    renew_cores = renewals * renew_ms / 1000
    reconcile_cores = rounds * s * costs.pg_reconcile_row / 1000
    message_cores = (
        sends * costs.pg_send
        + receives * costs.pg_receive
        + receipts * costs.pg_receipt
        + checkpoints * costs.pg_checkpoint
    ) / 1000
    pg_cores = renew_cores + reconcile_cores + message_cores
    heartbeats = plan.nodes / _HEARTBEAT + sends + receives
    redis_cores = heartbeats * costs.redis_set / 1000
    s3_cores = checkpoints * costs.s3_put / 1000
    statements = renewals / (plan.per_process if batched else 1) + 2 * sends + receives
    return Load(
        pg_statements=statements + receipts + checkpoints + 2 * rounds,
        pg_cores=pg_cores,
        wal_bytes=renewals * costs.wal_renew + (sends + receives) * costs.wal_send,
        redis_writes=heartbeats,
        redis_cores=redis_cores,
        s3_puts=checkpoints,
        s3_cores=s3_cores,
        round_seconds=round_seconds,
        renewals_share=renew_cores / pg_cores,
        reconcile_share=reconcile_cores / pg_cores,
        used={
            "PostgreSQL": pg_cores / plan.postgres_cores,
            "Redis": redis_cores,
            "S3": s3_cores / plan.s3_cores,
            "supervisor": round_seconds / plan.placement.reconcile_seconds,
            "Ray nodes": plan.nodes / plan.ray_nodes,
            "Ray actors": plan.processes / plan.ray_actors,
        },
    )
