"""A send without an answer has the way to WhatsApp tried, and only then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from waiting import stays

import actors.session.reach
from actors.session.reach import WhatsAppReach


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actors.session.reach, "_STALLED", 0.05)
    monkeypatch.setattr(actors.session.reach, "_AGAIN", 0.02)


class _Way:
    def __init__(self) -> None:
        self.open, self.tried, self.reported = True, 0, 0

    async def connects(self) -> bool:
        self.tried += 1
        return self.open

    def report(self) -> None:
        self.reported += 1


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_one_that_is_answered_tries_nothing() -> None:
    way = _Way()
    reach = WhatsAppReach(way.connects, way.report)
    with reach.sends():
        pass
    await stays(lambda: way.tried == 0, 0.1)


async def test_one_that_is_slow_is_waited_for() -> None:
    way = _Way()
    reach = WhatsAppReach(way.connects, way.report)
    with reach.sends():
        await _until(lambda: way.tried >= 3)
    assert not reach.unreachable.done()
    assert way.reported == 0


async def test_away_until_it_is_reached_again() -> None:
    way = _Way()
    way.open = False
    reach = WhatsAppReach(way.connects, way.report)

    async def fails() -> None:
        with reach.sends():
            async with asyncio.timeout(5):
                await reach.unreachable
            raise ConnectionError

    with pytest.raises(ConnectionError):
        await fails()
    assert way.reported == 1
    assert reach.unreachable.done(), "its send ended, and nothing came of it"
    way.open = True
    await _until(lambda: not reach.unreachable.done())
    tried = way.tried
    await stays(lambda: way.tried <= tried + 1, 0.1, "it looks no further")
    assert way.reported == 1


async def test_an_answer_is_the_best_proof() -> None:
    way = _Way()
    way.open = False
    reach = WhatsAppReach(way.connects, way.report)
    with reach.sends():
        async with asyncio.timeout(5):
            await reach.unreachable
    assert not reach.unreachable.done()
    reach.close()
