"""The chaos suite in short: what is accepted survives the death of a process and of a node."""

from __future__ import annotations

from chaos.faults import FAULTS
from chaos.report import as_json
from chaos.suite import Plan, Suite, new_folder, remove
from rich.console import Console


async def test_nothing_is_lost_when_a_process_and_a_node_are_killed() -> None:
    folder = new_folder()
    plan = Plan(
        faults=[FAULTS["kill_session"], FAULTS["kill_node"]],
        rounds=1,
        sessions=4,
        nodes=2,
        pause=1.0,
        patience=20.0,
    )
    try:
        results = await Suite(plan, Console(width=200)).run(folder)
    finally:
        remove(folder)
    assert [r.fault for r in results if r.clean] == ["kill_session", "kill_node"], as_json(results)
    assert all(r.verdict.accepted and r.verdict.typed for r in results), "traffic flowed"
