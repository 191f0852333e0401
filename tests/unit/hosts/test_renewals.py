"""Lease renewals of many sessions in one statement."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import cast

import pytest

from actors.hosts.renewals import BatchedOwnership
from cluster.domain.errors import Unavailable
from cluster.stores.database import Database
from cluster.stores.ownership import Renewal

TTL = timedelta(seconds=5)


class Recorded(BatchedOwnership):
    """What would be sent; sessions above 100 have another owner by now."""

    def __init__(self) -> None:
        super().__init__(cast(Database, None))
        self.sent: list[dict[int, int]] = []
        self.away = False
        self.answers = asyncio.Event()
        self.answers.set()

    async def renew_all(
        self, epochs: Mapping[int, int], ttl: timedelta, away: timedelta = timedelta()
    ) -> dict[int, Renewal]:
        self.sent.append(dict(epochs))
        await self.answers.wait()
        if self.away:
            raise Unavailable("PostgreSQL is unreachable")
        return {i: Renewal(accepted=7 * i, alone=False) for i in epochs if i <= 100}


async def test_those_that_ask_at_about_the_same_time_go_together() -> None:
    ownership = Recorded()
    answers = await asyncio.gather(*(ownership.renew(i, i * 10, TTL) for i in (1, 2, 101)))
    assert [answer and answer.accepted for answer in answers] == [7, 14, None]
    assert ownership.sent == [{1: 10, 2: 20, 101: 1010}]
    assert await ownership.renew(1, 10, TTL)
    assert len(ownership.sent) == 2


async def test_everybody_hears_that_the_store_is_away() -> None:
    ownership = Recorded()
    ownership.away = True
    answers = await asyncio.gather(
        *(ownership.renew(i, 1, TTL) for i in (1, 2)), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [Unavailable, Unavailable]


async def test_one_that_gives_up_waiting_does_not_take_the_others_along() -> None:
    ownership = Recorded()
    ownership.answers.clear()
    patient = asyncio.create_task(ownership.renew(1, 1, TTL))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await ownership.renew(2, 1, TTL)
    ownership.answers.set()
    assert await patient
    assert ownership.sent == [{1: 1, 2: 1}]


async def test_those_that_may_stay_for_as_long_go_together() -> None:
    ownership = Recorded()
    answers = await asyncio.gather(
        *(ownership.renew(i, 1, TTL, timedelta(minutes=i % 2)) for i in range(1, 5))
    )
    assert all(answers)
    assert sorted(ownership.sent, key=str) == [{1: 1, 3: 1}, {2: 1, 4: 1}]
