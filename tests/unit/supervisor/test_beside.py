"""Work beside a tick: once for each key, and nobody waits for what hangs."""

from __future__ import annotations

import asyncio
import time

from actors.supervisor.beside import Beside
from cluster.domain.errors import Unavailable


async def test_one_that_hangs_holds_up_nobody_and_is_begun_once() -> None:
    beside = Beside("test", 2)
    never, done = asyncio.Event(), list[int]()

    async def hangs() -> None:
        done.append(0)
        await never.wait()

    async def ends() -> None:
        done.append(1)

    beside.begin(1, hangs)
    beside.begin(2, ends)
    beside.begin(1, hangs)
    began = time.monotonic()
    await beside.settle(0.2)
    assert time.monotonic() - began < 2
    assert sorted(done) == [0, 1]
    never.set()
    await beside.settle(5)
    beside.begin(1, ends)
    await beside.settle(5)
    assert sorted(done) == [0, 1, 1]


async def test_what_fails_can_be_begun_again() -> None:
    beside = Beside("test", 1)
    tries = 0

    async def fails() -> None:
        nonlocal tries
        tries += 1
        raise Unavailable("away") if tries == 1 else KeyError(tries)

    for _ in range(3):
        beside.begin(7, fails)
        await beside.settle(5)
    assert tries == 3
