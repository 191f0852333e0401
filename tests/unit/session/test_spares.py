"""How many processes are ready is counted by those that live; missing ones are started in time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from waiting import stays, until

from actors.agent import spares as keeper
from actors.agent.spares import Spares, needed
from actors.process_identity import holder_id
from actors.zygote import spares as spare
from cluster.stores.workers import Worker


def test_a_spare_counts_until_it_has_its_session_or_is_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_DATA_DIR", str(tmp_path))
    spare.announce()
    (tmp_path / "spares" / "999999999").write_text(
        holder_id().replace(f"/{os.getpid()}/", "/999999999/")
    )
    assert spare.spares(tmp_path) == 1
    spare.taken()
    assert spare.spares(tmp_path) == 0


def _always(wanted: int) -> Callable[[], Awaitable[int]]:
    async def answer() -> int:
        return wanted

    return answer


async def test_missing_spares_are_started_one_after_the_other_and_not_at_the_first_poll(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "_SOON", 0.01)
    monkeypatch.setattr(keeper, "_EVERY", 0.01)
    there = polls = 0
    asked: list[tuple[int, int]] = []

    def count(root: Path) -> int:
        nonlocal polls
        polls += 1
        return there

    async def start() -> None:
        nonlocal there
        asked.append((polls, there))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.05, come)

    def come() -> None:
        nonlocal there
        there += 1

    monkeypatch.setattr(keeper, "spares", count)
    task = asyncio.create_task(Spares(tmp_path, _always(3), start, after=0.0).run())
    await until(lambda: there == 3)
    await stays(lambda: [before for _, before in asked] == [0, 1, 2], 0.1)
    assert asked[0][0] == keeper._POLLS
    assert asked[1][0] - asked[0][0] < keeper._POLLS
    task.cancel()


async def test_starts_that_bring_nothing_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "_SOON", 0.001)
    monkeypatch.setattr(keeper, "_PATIENCE", 0.01)
    asked = 0

    async def start() -> None:
        nonlocal asked
        asked += 1

    await asyncio.wait_for(Spares(tmp_path, _always(2), start, after=0.0).run(), 5)
    assert asked == keeper._IN_VAIN


@pytest.mark.parametrize(
    ("others", "drained", "per_process", "spares"),
    [
        # Alone, it has to replace a process at most.
        ([], 0, 1, 1),
        ([0], 0, 1, 1),
        ([7], 0, 1, 7),
        # The fullest of the others, shared with the rest.
        ([7, 7], 0, 1, 4),
        ([9, 1, 1], 0, 1, 3),
        ([9, 1, 1], 1, 1, 5),
        ([100, 100], 0, 40, 2),
        ([1000], 0, 1, 50),
    ],
)
def test_a_node_has_as_many_as_it_gets_when_another_is_lost(
    others: list[int], drained: int, per_process: int, spares: int
) -> None:
    now = datetime.now(UTC)
    workers = [
        Worker(
            node=f"n{number}",
            name="",
            address="",
            slots=100,
            sessions=sessions,
            drained=number > len(others) - drained,
            started_at=now,
            seen_at=now,
        )
        for number, sessions in enumerate([3, *others])
    ]
    assert needed("n0", workers, per_process) == spares
