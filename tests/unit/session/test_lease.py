"""The owner's clock: it must stop before the store could give the session to another."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from actors.session.lease import LeaseClock, LeaseKeeper
from cluster.domain.errors import Unavailable
from cluster.settings import LeaseSettings

SHORT = LeaseSettings(
    ttl_seconds=0.6, renew_seconds=0.05, fence_margin_seconds=0.2, kill_margin_seconds=0.1
)


def test_time_counts_from_before_the_renewal_was_sent() -> None:
    clock = LeaseClock(ttl=6, margin=2, proven_at=100)
    assert clock.remaining(103.9) > 0
    assert clock.remaining(104.0) == 0
    clock.proven(102)
    assert clock.remaining(104.0) == 2


def test_an_old_answer_that_comes_late_shortens_nothing() -> None:
    clock = LeaseClock(ttl=6, margin=2, proven_at=100)
    clock.proven(99)
    assert clock.remaining(100) == 4


class Losses(list[str]):
    def __init__(self) -> None:
        super().__init__()
        self.happened = asyncio.Event()

    async def __call__(self, why: str) -> None:
        self.append(why)
        self.happened.set()


async def test_an_owner_cut_off_from_the_store_fences_itself_before_its_lease_ends() -> None:
    lost = Losses()

    async def renew() -> bool:
        raise Unavailable("away", retry_after=1)

    started = time.monotonic()
    keeper = LeaseKeeper(settings=SHORT, renew=renew, on_lost=lost, claimed_at=started)
    keeper.start()
    await asyncio.wait_for(lost.happened.wait(), 5)
    assert time.monotonic() - started < SHORT.ttl_seconds
    assert not keeper.held
    assert len(lost) == 1


async def test_an_answer_that_hangs_does_not_outlive_the_lease() -> None:
    lost = Losses()

    async def renew() -> bool:
        await asyncio.Event().wait()
        return True

    started = time.monotonic()
    keeper = LeaseKeeper(settings=SHORT, renew=renew, on_lost=lost, claimed_at=started)
    keeper.start()
    await asyncio.wait_for(lost.happened.wait(), 5)
    assert time.monotonic() - started < SHORT.ttl_seconds


async def test_a_newer_epoch_ends_the_ownership_at_once() -> None:
    lost = Losses()

    async def renew() -> bool:
        return False

    keeper = LeaseKeeper(settings=SHORT, renew=renew, on_lost=lost, claimed_at=time.monotonic())
    keeper.start()
    await asyncio.wait_for(lost.happened.wait(), 5)
    assert "newer epoch" in lost[0]


async def test_renewals_keep_the_lease() -> None:
    lost = Losses()
    renewed = asyncio.Semaphore(0)

    async def renew() -> bool:
        renewed.release()
        return True

    keeper = LeaseKeeper(settings=SHORT, renew=renew, on_lost=lost, claimed_at=time.monotonic())
    keeper.start()
    async with asyncio.timeout(10):
        for _ in range(20):
            await renewed.acquire()
    assert keeper.held
    assert not lost
    await keeper.stop()


@pytest.fixture(autouse=True)
def _no_clock_surprises() -> None:
    assert SHORT.renew_seconds < SHORT.ttl_seconds - SHORT.fence_margin_seconds


async def test_a_renewal_that_cannot_be_cancelled_holds_up_nothing() -> None:
    """As psycopg's on a connection that was cut."""
    lost = Losses()
    free = asyncio.Event()

    async def renew() -> bool:
        while not free.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await free.wait()
        return True

    started = time.monotonic()
    keeper = LeaseKeeper(settings=SHORT, renew=renew, on_lost=lost, claimed_at=started)
    keeper.start()
    await asyncio.wait_for(lost.happened.wait(), 5)
    assert time.monotonic() - started < SHORT.ttl_seconds
    free.set()
    await keeper.stop()
