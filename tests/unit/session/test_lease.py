"""The owner's clock: it must stop before the store could give the session to another."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import timedelta

import pytest

from actors.session.lease import LeaseClock, LeaseKeeper
from cluster.domain.errors import Unavailable
from cluster.settings import LeaseSettings
from cluster.stores.ownership import Standing

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

    async def renew(_away: timedelta) -> Standing:
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

    async def renew(_away: timedelta) -> Standing:
        await asyncio.Event().wait()
        return Standing.OWNER

    started = time.monotonic()
    keeper = LeaseKeeper(settings=SHORT, renew=renew, on_lost=lost, claimed_at=started)
    keeper.start()
    await asyncio.wait_for(lost.happened.wait(), 5)
    assert time.monotonic() - started < SHORT.ttl_seconds


async def test_a_newer_epoch_ends_the_ownership_at_once() -> None:
    lost = Losses()

    async def renew(_away: timedelta) -> Standing:
        return Standing.LOST

    keeper = LeaseKeeper(settings=SHORT, renew=renew, on_lost=lost, claimed_at=time.monotonic())
    keeper.start()
    await asyncio.wait_for(lost.happened.wait(), 5)
    assert "newer epoch" in lost[0]


async def test_renewals_keep_the_lease() -> None:
    lost = Losses()
    renewed = asyncio.Semaphore(0)

    async def renew(_away: timedelta) -> Standing:
        renewed.release()
        return Standing.OWNER

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

    async def renew(_away: timedelta) -> Standing:
        while not free.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await free.wait()
        return Standing.OWNER

    started = time.monotonic()
    keeper = LeaseKeeper(settings=SHORT, renew=renew, on_lost=lost, claimed_at=started)
    keeper.start()
    await asyncio.wait_for(lost.happened.wait(), 5)
    assert time.monotonic() - started < SHORT.ttl_seconds
    free.set()
    await keeper.stop()


class Armed:
    """A dead man's switch that shows how far ahead it was set."""

    def __init__(self) -> None:
        self.deadline = 0.0

    def arm(self, deadline: float) -> None:
        self.deadline = deadline

    def disarm(self) -> None:
        self.deadline = 0.0


LONG = SHORT.model_copy(update={"grace_seconds": 1.0})


@pytest.mark.parametrize("may", [True, False])
async def test_one_that_is_alone_stays_connected_without_proof_for_its_longer_lease(
    may: bool,
) -> None:
    lost, dead_man = Losses(), Armed()

    async def renew(_away: timedelta) -> Standing:
        raise Unavailable("away", retry_after=1)

    began = time.monotonic()
    keeper = LeaseKeeper(
        settings=LONG,
        renew=renew,
        on_lost=lost,
        claimed_at=began,
        dead_man=dead_man,
        alone=True,
        may_stay=lambda: may,
    )
    keeper.start()
    stayed, furthest = 0, 0.0
    while not lost.happened.is_set():
        stayed += keeper.staying
        # One that does nothing but receive: it is sure of nothing else.
        assert not (keeper.staying and keeper.held)
        furthest = max(furthest, dead_man.deadline)
        await asyncio.sleep(0.01)
    took = time.monotonic() - began
    assert keeper.unproven.is_set(), "who watches it looks only then"
    assert took < LONG.ttl_seconds + may * LONG.grace.total_seconds()
    assert bool(stayed) is may
    assert took > may * LONG.grace.total_seconds()
    # Whoever stands still is killed in a lease's time, and always before its lease ends.
    assert (
        furthest
        <= began + LONG.ttl_seconds + may * LONG.grace.total_seconds() - LONG.kill_margin_seconds
    )
    if may:
        assert dead_man.deadline - time.monotonic() < LONG.ttl_seconds


async def test_one_that_stays_is_not_killed_while_its_renewals_hang() -> None:
    """As at a PostgreSQL that stands still: they take as long as they may, and it runs."""
    lost, dead_man = Losses(), Armed()

    async def renew(_away: timedelta) -> Standing:
        await asyncio.Event().wait()
        return Standing.OWNER

    keeper = LeaseKeeper(
        settings=LONG.model_copy(update={"renew_seconds": 0.15}),
        renew=renew,
        on_lost=lost,
        claimed_at=time.monotonic(),
        dead_man=dead_man,
        alone=True,
        may_stay=lambda: True,
    )
    keeper.start()
    while not lost.happened.is_set():
        assert time.monotonic() < dead_man.deadline
        await asyncio.sleep(0.005)
    assert keeper.unproven.is_set()
    assert not keeper.held


async def test_who_is_not_alone_any_more_stays_no_longer_and_says_so_after() -> None:
    """Its own limit, then the row's; and never again, whatever arrives when."""
    asked: list[float] = []
    standings = [Standing.ALONE, Standing.OWNER, Standing.ALONE, Standing.ALONE]
    limits: list[float] = []

    async def renew(grace: timedelta) -> Standing:
        asked.append(grace.total_seconds())
        limits.append(keeper.clock.grace)
        return standings[min(len(asked), len(standings)) - 1]

    keeper = LeaseKeeper(
        settings=LONG,
        renew=renew,
        on_lost=Losses(),
        claimed_at=time.monotonic(),
        alone=True,
        may_stay=lambda: True,
    )
    keeper.start()
    async with asyncio.timeout(10):
        while len(asked) < 5:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await keeper.stop()
    assert not keeper.unproven.is_set()
    assert asked[:5] == [1.0, 1.0, 0.0, 0.0, 0.0]
    assert limits[:5] == asked[:5]
