"""The chaos suite in short: what is accepted survives the death of a process and of a node."""

from __future__ import annotations

import os

import pytest
from chaos.faults import FAULTS
from chaos.report import Result, as_json
from chaos.suite import Plan, Suite, new_folder, remove
from rich.console import Console


async def test_nothing_is_lost_when_a_process_and_a_node_are_killed() -> None:
    results = await short()
    assert [r.fault for r in results if r.clean] == ["kill_session", "kill_node"], as_json(results)


@pytest.mark.skipif(
    not os.environ.get("GATEWAY_SLOW_TESTS"), reason="minutes of its own: GATEWAY_SLOW_TESTS"
)
async def test_nothing_is_lost_where_the_library_cannot_be_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """docs/promises.md, the last column: a send whose answer the crash took may arrive twice."""
    monkeypatch.setenv("WHATSAPP_LIBRARY_PATCHES_OFF", "all")
    for result in await short():
        assert not result.verdict.lost, as_json([result])
        assert not result.double_connections, as_json([result])
        assert not result.not_recovered, as_json([result])
        assert not result.broken, as_json([result])


async def short() -> list[Result]:
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
    assert all(r.verdict.accepted and r.verdict.typed for r in results), "traffic flowed"
    return results
