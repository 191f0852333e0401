"""The owner's side of the lease: when to renew, when to fence. Pure decisions, thin loop.

The rule: count from the moment *before* a renewal was sent (monotonic clock), because the store's
lease ends no earlier than that moment plus the lease's length. An owner that has no newer proof
fences itself a margin before that end. Where its lease is longer, because every node is on one
host, it may stay connected without proof until a margin before the long end: it only receives
then, and is killed as soon as ever if it stands still. See docs/decisions/fencing.md.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog

from actors.session.dead_man import Switch
from actors.ticks import until_tick
from cluster.settings import LeaseSettings
from cluster.stores.ownership import Standing

__all__ = ["LeaseClock", "LeaseKeeper"]

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class LeaseClock:
    """How long the owner may still act. Times are monotonic seconds."""

    #: Length of the lease, seconds.
    ttl: float
    #: The owner stops this long before the end, seconds.
    margin: float
    #: When the newest successful renewal was *sent*.
    proven_at: float
    #: How much longer the lease is, for who stays connected without proof; seconds.
    grace: float = 0.0

    def proven(self, sent_at: float) -> None:
        self.proven_at = max(self.proven_at, sent_at)

    def remaining(self, now: float) -> float:
        """Seconds until the owner must fence itself; not positive: it must already have."""
        return self.proven_at + self.ttl - self.margin - now

    def stays(self, now: float) -> float:
        """Seconds until it must fence itself although it may stay; not positive: as above."""
        return self.remaining(now) + self.grace


class LeaseKeeper:
    """Renews one session's lease until it is stopped; calls `on_lost` once when it is lost."""

    def __init__(
        self,
        *,
        settings: LeaseSettings,
        renew: Callable[[timedelta], Awaitable[Standing]],
        on_lost: Callable[[str], Awaitable[None]],
        claimed_at: float,
        dead_man: Switch | None = None,
        alone: bool = False,
        may_stay: Callable[[], bool] = lambda: False,
    ) -> None:
        """`renew`, given how much longer than usual the lease is to be, says whether the epoch is
        still the newest, and raises `Unavailable` without the store; `claimed_at`: monotonic
        time from before the claim was sent; `dead_man` is armed from `start` on, and left to the
        caller when the lease is lost; `alone`: the claim made a longer lease; `may_stay`: asked
        while there is no proof."""
        self._settings = settings
        self._renew = renew
        self._on_lost = on_lost
        self.clock = LeaseClock(
            ttl=settings.ttl_seconds,
            margin=settings.fence_margin_seconds,
            proven_at=claimed_at,
            grace=settings.grace.total_seconds() if alone else 0.0,
        )
        self._may_stay = may_stay
        self._dead_man = dead_man
        self._task: asyncio.Task[None] | None = None
        #: Set from a renewal that brought no proof to the next one that does.
        self.unproven = asyncio.Event()

    def start(self) -> asyncio.Task[None]:
        """Renew from now on; the task ends when the lease is lost, and by `stop`."""
        self._arm(self.clock.proven_at)
        self._task = asyncio.create_task(self._run(), name="lease")
        return self._task

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @property
    def held(self) -> bool:
        """True while the owner may act."""
        return self.clock.remaining(time.monotonic()) > 0

    @property
    def staying(self) -> bool:
        """Connected without proof, because nobody else can be."""
        now = time.monotonic()
        return self.clock.remaining(now) <= 0 < self._left(now)

    def _left(self, now: float) -> float:
        left = self.clock.remaining(now)
        return self.clock.stays(now) if left <= 0 and self._may_stay() else left

    def _runs(self, now: float) -> float:
        """Seconds that are left. Of one that stays that much is sure: it runs, now; so it is armed
        before each pause and each renewal, which may take as long as they may."""
        left = self._left(now)
        if self.clock.remaining(now) <= 0 < left:
            self._arm(now)
        return left

    async def _run(self) -> None:
        while True:
            left = self._runs(time.monotonic())
            await asyncio.sleep(max(0.0, min(until_tick(self._settings.renew_seconds), left)))
            sent_at = time.monotonic()
            left = self._runs(sent_at)
            if left <= 0:
                await self._on_lost("the lease could not be renewed in time")
                return
            try:
                # One that stays must be back in time to show that it runs.
                patience = min(left, self.clock.ttl - self.clock.margin)
                grace = timedelta(seconds=self.clock.grace)
                standing = await self._renewed(self._renew(grace), patience)
            except Exception as error:  # noqa: BLE001
                # Whatever it was: no proof, so the clock goes on, and the fence comes in time.
                log.warning("lease.not_renewed", left=round(left, 2), error=repr(error))
                self.unproven.set()
                continue
            if not standing:
                await self._on_lost("a newer epoch owns the session")
                return
            self.clock.proven(sent_at)
            self.unproven.clear()
            self._arm(self.clock.proven_at)
            if standing != Standing.ALONE:
                # Its own limit first, and for good: the next renewal sends it, in whatever order
                # they arrive.
                self.clock.grace = 0.0

    @staticmethod
    async def _renewed(asked: Awaitable[Standing], seconds: float) -> Standing:
        """Raises `TimeoutError` in time, also when the call does not let itself be cancelled: on a
        connection that was cut psycopg waits for an answer to that as well."""
        renewal = asyncio.ensure_future(asked)
        try:
            await asyncio.wait({renewal}, timeout=seconds)
            if renewal.done():
                return renewal.result()
        finally:
            renewal.cancel()
        raise TimeoutError("no answer")

    def _arm(self, alive_at: float) -> None:
        """The kernel fences what cannot fence itself: which stands still for a lease's time, and
        always before the lease ends."""
        if self._dead_man is not None:
            held = self._settings.ttl_seconds - self._settings.kill_margin_seconds
            longest = self.clock.proven_at + held + self.clock.grace
            self._dead_man.arm(min(alive_at + held, longest))
