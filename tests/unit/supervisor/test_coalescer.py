"""Asked for one by one, done together, and nobody's failure is kept from him."""

from __future__ import annotations

import asyncio

import pytest
from waiting import idle

from actors.supervisor.coalescer import Coalescer


async def test_what_is_asked_for_meanwhile_is_done_in_one_go() -> None:
    worked: list[set[int]] = []
    under_way, may_end = asyncio.Event(), asyncio.Event()

    async def work(these: set[int]) -> None:
        under_way.set()
        await may_end.wait()
        worked.append(these)

    coalescer = Coalescer(work)

    async def ask(one: int) -> None:
        await coalescer.do(one)
        assert any(one in these for these in worked), "done when it returns"

    first = asyncio.create_task(ask(0))
    await under_way.wait()
    others = [asyncio.create_task(ask(one)) for one in range(1, 50)]
    await idle()
    may_end.set()
    await asyncio.gather(first, *others)
    assert worked == [{0}, set(range(1, 50))]


async def test_who_gives_up_takes_nothing_from_the_others_and_all_hear_of_a_failure() -> None:
    worked: list[set[int]] = []

    async def work(these: set[int]) -> None:
        await asyncio.sleep(0.01)
        worked.append(these)
        if 3 in these:
            raise ValueError("three")

    coalescer = Coalescer(work)
    asking = [asyncio.create_task(coalescer.do(one)) for one in (1, 2)]
    await asyncio.sleep(0)
    asking[0].cancel()
    await asking[1]
    assert worked == [{1, 2}]
    ended = await asyncio.gather(*(coalescer.do(one) for one in (3, 4)), return_exceptions=True)
    assert [type(one) for one in ended] == [ValueError, ValueError]
    with pytest.raises(ValueError, match="three"):
        await coalescer.do(3)
