"""Hints and figures go on after an error that nobody foresaw."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from cluster.metrics import telling
from cluster.stores.wake import EventWaker


class Database:
    """Fails the first time, in a way of its own."""

    def __init__(self) -> None:
        self.asked = 0

    async def run(self, *_: Any) -> int:
        self.asked += 1
        if self.asked == 1:
            raise ZeroDivisionError
        return 1

    async def add(self, *_: Any) -> None:
        await self.run()


async def test_a_hint_follows_one_that_failed() -> None:
    database = Database()
    waker = EventWaker(cast(Any, database))
    waker.touch(1)
    await waker.close()
    waker.touch(1)
    await waker.close()
    assert database.asked == 2


async def test_figures_are_told_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "_EVERY", 0.01)
    database = Database()
    task = asyncio.create_task(telling.tell(cast(Any, database)))
    async with asyncio.timeout(10):
        while database.asked < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert not task.done()
    task.cancel()
