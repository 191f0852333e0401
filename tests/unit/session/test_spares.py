"""How many processes are ready is counted by those that live; missing ones are started in time."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from actors import spare
from actors.session.holder import holder_id
from actors.workers import spares as keeper
from actors.workers.spares import Spares


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


async def test_missing_spares_are_started_one_after_the_other_and_not_at_the_first_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "_EVERY", 0.01)
    there = looks = 0
    asked: list[tuple[int, int]] = []

    def count(root: Path) -> int:
        nonlocal looks
        looks += 1
        return there

    async def start() -> None:
        nonlocal there
        asked.append((looks, there))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.05, come)

    def come() -> None:
        nonlocal there
        there += 1

    monkeypatch.setattr(keeper, "spares", count)
    task = asyncio.create_task(Spares(tmp_path, 3, start).run())
    await asyncio.sleep(0.6)
    assert [before for _, before in asked] == [0, 1, 2]
    assert asked[0][0] == keeper._LOOKS
    assert asked[1][0] - asked[0][0] < keeper._LOOKS
    task.cancel()


async def test_starts_that_bring_nothing_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "_EVERY", 0.001)
    monkeypatch.setattr(keeper, "_PATIENCE", 0.01)
    asked = 0

    async def start() -> None:
        nonlocal asked
        asked += 1

    await asyncio.wait_for(Spares(tmp_path, 2, start).run(), 5)
    assert asked == keeper._IN_VAIN
