"""Timers of one length share one of the loop's."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from waiting import stays, until

from cluster.timers import EqualTimers, Timeout


async def test_each_is_called_when_its_time_has_passed_and_not_before() -> None:
    loop, timers = asyncio.get_running_loop(), EqualTimers(0.05)
    took: list[float] = []

    def take(began: float) -> None:
        took.append(loop.time() - began)

    for _ in range(5):
        timers.start(partial(take, loop.time()))
        await asyncio.sleep(0.02)
    await until(lambda: len(took) == 5)
    assert min(took) >= 0.05 - 0.002


async def test_what_was_stopped_is_not_called() -> None:
    timers = EqualTimers(0.02)
    called: list[str] = []
    stopped = timers.start(lambda: called.append("stopped"))
    timers.start(lambda: called.append("late"))
    timers.stop(stopped)
    await until(lambda: bool(called))
    timers.stop(stopped)
    await stays(lambda: called == ["late"], 0.05)


async def test_one_that_is_due_can_still_be_stopped() -> None:
    timers = EqualTimers(0.01)
    called: list[str] = []

    def first() -> None:
        called.append("first")
        timers.stop(second)

    timers.start(first)
    second = timers.start(lambda: called.append("second"))
    await until(lambda: bool(called))
    await stays(lambda: called == ["first"], 0.05)


async def test_one_that_fails_does_not_hold_up_the_others() -> None:
    timers = EqualTimers(0.01)
    called = asyncio.Event()
    failed: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, facts: failed.append(facts))
    timers.start(lambda: 1 / 0)
    timers.start(called.set)
    async with asyncio.timeout(10):
        await called.wait()
    assert len(failed) == 1


def test_another_loop_has_its_own() -> None:
    timers = EqualTimers(0.01)

    async def once() -> None:
        called = asyncio.Event()
        timers.start(called.set)
        async with asyncio.timeout(10):
            await called.wait()

    async def cut_off() -> None:
        timers.start(lambda: None)

    asyncio.run(cut_off())
    asyncio.run(once())


async def test_what_takes_too_long_is_cancelled_and_reported() -> None:
    timers = EqualTimers(0.01)
    with pytest.raises(TimeoutError), Timeout(timers) as timeout:
        await asyncio.Event().wait()
    assert timeout.expired
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_what_is_done_in_time_or_may_last_is_not() -> None:
    timers = EqualTimers(0.05)
    with Timeout(timers) as timeout:
        await asyncio.sleep(0)
    with Timeout(timers) as lifted:
        lifted.lift()
        await asyncio.sleep(0.1)
    assert not timeout.expired
    assert not lifted.expired


async def test_another_failure_is_that_failure() -> None:
    with pytest.raises(ValueError, match="as tests want it"), Timeout(EqualTimers(10)):
        raise ValueError("as tests want it")


async def test_whoever_cancels_it_cancels_it() -> None:
    began = asyncio.Event()

    async def work() -> None:
        with Timeout(EqualTimers(10)):
            began.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
