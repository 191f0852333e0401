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


async def test_missing_spares_are_started_once_and_not_at_the_first_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "_EVERY", 0.01)
    asked: list[int] = []
    started = asyncio.Event()

    async def start(number: int) -> None:
        asked.append(number)
        started.set()

    task = asyncio.create_task(Spares(tmp_path, 2, start).run())
    await asyncio.wait_for(started.wait(), 5)
    await asyncio.sleep(0.1)
    task.cancel()
    assert asked == [2]
