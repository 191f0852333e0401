"""The simulated clusters as tables and as a picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.simulation.costs import Costs
from benchmarks.simulation.failure import lose
from benchmarks.simulation.plan import Loss, Plan
from benchmarks.simulation.steady import steady

__all__ = ["draw", "plans", "tables"]

#: (sessions, nodes, sessions per process)
_SIZES = (
    (10_000, 10, 100),
    (10_000, 100, 1),
    (30_000, 30, 100),
    (100_000, 100, 100),
    (100_000, 1_000, 1),
    (300_000, 300, 100),
    (1_000_000, 1_000, 100),
    (1_000_000, 1_000, 200),
)
_NODE = "node"
_ZONE = "zone"
#: Starts a second for each thousand sessions, in the second half of the table of failures.
_PACE_PER_THOUSAND = 20.0


def plans(seed: int) -> list[Plan]:
    """The clusters of the tables."""
    return [
        Plan(sessions=sessions, nodes=nodes, per_process=per_process, seed=seed)
        for sessions, nodes, per_process in _SIZES
    ]


def tables(costs: Costs, seed: int) -> str:
    """Markdown."""
    lines = [
        "",
        "### Each second, nothing failing",
        "",
        "| sessions | nodes | per process | PostgreSQL: statements, cores | renewals, looks "
        "| log | Redis writes | S3 puts, cores | one look of the supervisor | fullest |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for plan in plans(seed):
        load = steady(plan, costs)
        name, used = load.first_limit
        lines.append(
            f"| {plan.sessions:,} | {plan.nodes:,} | {plan.per_process} "
            f"| {load.pg_statements:,.0f}, {load.pg_cores:.2g} "
            f"| {load.renewals_share:.0%}, {load.reconcile_share:.0%} "
            f"| {load.wal_bytes / 1e6:.1f} MB | {load.redis_writes:,.0f} "
            f"| {load.s3_puts:,.0f}, {load.s3_cores:.2g} | {load.round_seconds:.2g} s "
            f"| {name}: {used:.0%} |"
        )
    lines += [
        "",
        "### After a loss, until sessions work again",
        "",
        "| sessions | nodes | per process | lost | starts/s | p50 | p95 | last | held up by "
        "| PostgreSQL's slowest answer | others fenced |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for plan in plans(seed):
        if steady(plan, costs).used["PostgreSQL"] >= 1:
            continue
        paces = (None, max(plan.pace, plan.sessions / 1000 * _PACE_PER_THOUSAND))
        for loss in (
            Loss(what=_NODE, share=1 / plan.nodes),
            Loss(what=_ZONE, share=1 / plan.zones),
        ):
            for pace in paces:
                lines.append(_failure(replace(plan, starts_per_second=pace), costs, loss))
    return "\n".join([*lines, "", ""])


def _failure(plan: Plan, costs: Costs, loss: Loss) -> str:
    outcome = lose(plan, costs, loss)
    return (
        f"| {plan.sessions:,} | {plan.nodes:,} | {plan.per_process} "
        f"| {loss.what}: {outcome.lost_sessions:,} | {plan.pace:g} | {outcome.p50:.1f} s "
        f"| {outcome.p95:.1f} s | {outcome.last:.1f} s | {outcome.held_up_by} "
        f"| {outcome.slowest_store:.2g} s | {outcome.dragged_along:,} |"
    )


def draw(costs: Costs, seed: int, path: Path) -> None:
    """What is used of each limited thing, over the number of sessions."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    sizes = [round(10 ** (3.5 + n / 8)) for n in range(21)]
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 3.6), sharey=True, layout="constrained")
    for axis, per_process, title in zip(axes, (1, 100), ("isolated", "100 a process"), strict=True):
        loads = [
            steady(
                Plan(
                    sessions=size,
                    nodes=max(2, size // (100 if per_process == 1 else 1000)),
                    per_process=per_process,
                    seed=seed,
                ),
                costs,
            ).used
            for size in sizes
        ]
        for name in loads[0]:
            axis.plot(sizes, [load[name] for load in loads], label=name)
        axis.axhline(1, color="black", linewidth=0.8, linestyle=":")
        axis.set(xscale="log", yscale="log", title=title, xlabel="sessions", ylim=(1e-3, 1e2))
    axes[0].set_ylabel("share in use (1: full)")
    axes[1].legend(fontsize=8, loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
