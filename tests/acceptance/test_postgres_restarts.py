"""PostgreSQL is restarted under traffic, and turns read-only: where all nodes are on one machine no
session logs in again, nothing is lost, and sends go on at once."""

from __future__ import annotations

import os

import pytest
from chaos.faults import FAULTS
from chaos.report import as_json
from chaos.suite import Plan, Suite, new_folder, remove
from rich.console import Console

pytestmark = pytest.mark.skipif(
    not os.environ.get("GATEWAY_SLOW_TESTS"), reason="its own gateway: GATEWAY_SLOW_TESTS"
)

#: Seconds from its return to the end of the first send that was begun and accepted after it.
_RESUMES = 2.0


@pytest.mark.parametrize("together", [1, 4])
async def test_no_session_logs_in_again_and_sends_resume(together: int) -> None:
    folder = new_folder()
    plan = Plan(
        # A lost node that came back is still one of this machine's.
        faults=[FAULTS[name] for name in ("kill_node", "postgres_restart", "postgres_read_only")],
        rounds=1,
        sessions=4,
        nodes=2,
        pause=1.0,
        patience=20.0,
        sessions_per_actor=together,
    )
    try:
        results = await Suite(plan, Console(width=200)).run(folder)
    finally:
        remove(folder)
    assert all(one.clean for one in results), as_json(results)
    for one in results[1:]:
        assert one.most_logins == 0, as_json(results)
        assert max(one.recoveries) < _RESUMES, as_json(results)
        assert one.verdict.accepted
        assert one.verdict.typed
