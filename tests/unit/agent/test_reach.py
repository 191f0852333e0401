"""A node says that it does not reach WhatsApp after three probes in a row, and so that it does."""

from __future__ import annotations

import asyncio

import pytest

from actors.agent.reach import Reach
from cluster.domain.errors import Unavailable
from cluster.reach import way_to_whatsapp


async def _reports(found: str, *, fails: int = 0) -> list[bool]:
    """`+`: reached, `-`: not; PostgreSQL is away for the first `fails` reports."""
    reported: list[bool] = []
    left = fails
    results = iter(found)

    async def once() -> bool:
        return next(results) == "+"

    async def report(away: bool) -> None:
        nonlocal left
        if left:
            left -= 1
            raise Unavailable("away")
        reported.append(away)

    reach = Reach(once, report)
    for _ in found:
        await reach.once()
    return reported


@pytest.mark.parametrize(
    ("found", "reported"),
    [
        ("++++", [False]),
        ("+--+--+", [False]),
        ("+---", [False, True]),
        ("---++", [False, True]),
        ("---+++", [False, True, False]),
        ("---+-+-+", [False, True]),
    ],
)
async def test_three_in_a_row_change_the_mind(found: str, reported: list[bool]) -> None:
    assert await _reports(found) == reported


async def test_what_could_not_be_reported_is_reported_later() -> None:
    assert await _reports("+++", fails=2) == [False]


async def test_it_probes_at_once_when_a_session_had_no_answer() -> None:
    probes = 0

    async def probe() -> bool:
        nonlocal probes
        probes += 1
        return True

    async def report(away: bool) -> None: ...

    reach = Reach(probe, report)
    task = asyncio.create_task(reach.run())
    async with asyncio.timeout(2):
        while probes < 2:
            reach.probe_now()
            await asyncio.sleep(0.01)
    task.cancel()


async def test_a_sessions_own_probe_counts() -> None:
    reported: list[bool] = []
    reached = True

    async def probe() -> bool:
        return reached

    async def report(away: bool) -> None:
        reported.append(away)

    reach = Reach(probe, report)
    await reach.once()
    reached = False
    reach.probe_now()
    await reach.once()
    assert reported == [False]
    await reach.once()
    assert reported == [False, True]
    # It is no proof of the contrary.
    reached = True
    reach.probe_now()
    await reach.once()
    await reach.once()
    assert reported == [False, True]


def test_the_way_is_the_proxy_where_there_is_one() -> None:
    assert way_to_whatsapp("") == ("web.whatsapp.com", 443)
    assert way_to_whatsapp("http://10.0.0.1:8080") == ("10.0.0.1", 8080)
