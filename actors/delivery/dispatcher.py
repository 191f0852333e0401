"""A dispatcher: takes endpoints that have events waiting, and delivers. Plain asyncio, no Ray.

Any number of dispatchers share the work through PostgreSQL: a row that one has leased is skipped by
the others, and free again when its lease ends.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from contextlib import suppress
from datetime import timedelta

import structlog

from actors.delivery.apps.configured import Apps
from actors.delivery.apps.owner_files import OwnerFiles
from actors.delivery.courier import Courier
from actors.delivery.sinks.configured import Sinks
from actors.endless import endless
from cluster.domain.errors import GatewayError
from cluster.settings import Settings
from cluster.stores import Stores
from cluster.stores.event_listener import EventListener
from cluster.stores.webhooks import Holding, LeasedWebhook
from cluster.webhooks.poster import Poster

__all__ = ["Dispatcher"]

log = structlog.get_logger(__name__)

_UNREACHABLE_SECONDS = 0.5
_TIDY_SECONDS = 600.0
#: Seconds from one look for events to the next.
_BETWEEN_ROUNDS = 0.02

#: Gauges of processes that are gone.
_GAUGE_LIFETIME = timedelta(hours=1)


class Dispatcher:
    """Delivers until it is stopped."""

    def __init__(self, stores: Stores, settings: Settings) -> None:
        hooks = settings.webhooks
        self._stores = stores
        self._settings = settings
        self._poster = Poster(
            timeout=hooks.timeout_seconds, allow=hooks.allow, connections=hooks.concurrency
        )
        self._outside = Poster(
            timeout=hooks.timeout_seconds, allow="", connections=hooks.concurrency
        )
        self._sinks = Sinks(settings)
        self._files = OwnerFiles(settings)
        self._apps = Apps(stores, hooks, self._files)
        self._courier = Courier(
            stores,
            self._poster,
            self._outside,
            self._sinks,
            self._apps,
            hooks,
            settings.base_url,
        )
        self._listener = EventListener(settings.stores, deliveries=True)
        self._under_way: dict[asyncio.Task[None], LeasedWebhook] = {}
        #: More may wait than there was room for.
        self._full = False
        self._wake = asyncio.Event()
        self._next_round = 0.0
        #: Leases of others, and since when each is where it is.
        self._seen: dict[Holding, float] = {}
        self._leases_read_at = float("-inf")
        #: When all sessions were looked at last; monotonic seconds.
        self._all_read_at = float("-inf")
        #: Sessions that were named; None: look at all.
        self._notified: set[int] | None = None
        #: Those that were looked at while an endpoint of theirs was held: that found nothing.
        self._missed: set[int] = set()
        #: When the next retry, batch or probe is due, monotonic seconds; None: PostgreSQL is asked.
        self._due: float | None = None
        self._stopping = False

    @property
    def delivered(self) -> int:
        """Events delivered by this dispatcher."""
        return self._courier.delivered

    @property
    def under_way(self) -> int:
        """Endpoints it holds at the moment."""
        return len(self._under_way)

    async def run(self) -> None:
        """Deliver until `stop`."""
        listener = asyncio.create_task(
            endless("webhook-listener", self._listen), name="webhook-listener"
        )
        keeper = asyncio.create_task(endless("webhook-keeper", self._tidy), name="webhook-keeper")
        try:
            while not self._stopping:
                await self._round()
        finally:
            self._courier.stopping = True
            ends = self._courier.lease_for.total_seconds()
            if self._under_way:
                await asyncio.wait(self._under_way, timeout=ends)
            # What is still under way has lost its lease, or PostgreSQL.
            late = [listener, keeper, *self._under_way]
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
            await self._poster.close()
            await self._outside.close()
            await self._sinks.close()
            await self._apps.close()
            await self._files.close()

    def stop(self) -> None:
        """Finish what is under way; `run` returns then."""
        self._stopping = True
        self._courier.stopping = True
        self._wake.set()

    async def _round(self) -> None:
        # A burst of notifications is one poll: each costs two statements.
        await asyncio.sleep(max(0.0, self._next_round - time.monotonic()))
        if self._stopping:
            # Nobody would wake it once more.
            return
        self._next_round = time.monotonic() + _BETWEEN_ROUNDS
        notified, self._notified = self._notified, set()
        if time.monotonic() - self._all_read_at >= self._poll.total_seconds():
            # Some notify all the time: without this, what is due elsewhere would never be polled.
            notified = None
        self._wake.clear()
        try:
            taken = await self._take(notified)
            pause = await self._until_due() if not taken else None
        except GatewayError as error:
            log.warning("webhook.stores_unreachable", error=error.detail)
            self._notified = None
            await asyncio.sleep(_UNREACHABLE_SECONDS)
            return
        if pause is None and self._free:
            return
        try:
            async with asyncio.timeout(pause):
                await self._wake.wait()
        except TimeoutError:
            self._notified = None

    async def _until_due(self) -> float:
        """Seconds until anything is due that nobody will name; at most a poll's. What others put
        off they come back to themselves, or it is seen by the next look at all."""
        if self._due is None:
            due = await self._stores.webhooks.next_due(self._poll)
            self._due = time.monotonic() + due.total_seconds()
        return max(0.01, self._due - time.monotonic())

    @property
    def _poll(self) -> timedelta:
        return timedelta(seconds=self._settings.webhooks.poll_seconds)

    @property
    def _latest(self) -> timedelta:
        longest = self._settings.webhooks.longest_pause_seconds
        return timedelta(seconds=max(longest, self._settings.sinks.s3_batch_seconds) + 60.0)

    @property
    def _free(self) -> int:
        return self._settings.webhooks.concurrency - len(self._under_way)

    async def _take(self, notified: set[int] | None) -> int:
        if self._free <= 0 or notified == set():
            return 0
        each = self._settings.webhooks.concurrency_per_endpoint
        busy = Counter(hook.target for hook in self._under_way.values())
        lease, asked_at = uuid.uuid4().hex, time.monotonic()
        if notified is None:
            self._all_read_at = asked_at
            self._due = None
            await self._free_lapsed()
        held = {hook.session_id for hook in self._under_way.values()}
        self._missed |= held if notified is None else notified & held
        taken = await self._stores.webhooks.take(
            lease=lease,
            lease_for=self._courier.lease_for,
            most=self._free,
            room={target: max(0, each - count) for target, count in busy.items()},
            room_each=each,
            rule=self._courier.rule,
            latest=self._latest,
            sessions=sorted(notified) if notified is not None else None,
        )
        if notified is None:
            taken += await self._stores.webhooks.take_probes(
                lease=lease,
                lease_for=self._courier.lease_for,
                rule=self._courier.rule,
                latest=self._latest,
            )
        busy.update(hook.target for hook in taken)
        self._full = len(taken) >= self._free or any(count >= each for count in busy.values())
        for hook in taken:
            task = asyncio.create_task(self._deliver(hook, asked_at), name=f"webhook-{hook.id}")
            self._under_way[task] = hook
            task.add_done_callback(self._done)
        return len(taken)

    async def _free_lapsed(self) -> None:
        """Take away what a dispatcher that is gone still holds: seen without a change for as long
        as its holder may take, by this process's own clock."""
        now = time.monotonic()
        if now - self._leases_read_at < self._settings.webhooks.poll_seconds:
            return
        self._leases_read_at = now
        own = {hook.id for hook in self._under_way.values()}
        held = [one for one in await self._stores.webhooks.leased() if one.id not in own]
        self._seen = {one: self._seen.get(one, now) for one in held}
        lapsed = [
            one for one, since in self._seen.items() if now - since > one.lease_for.total_seconds()
        ]
        if lapsed:
            log.warning("webhook.leases_lapsed", hooks=len(lapsed))
            await self._stores.webhooks.reclaim(lapsed)

    async def _deliver(self, hook: LeasedWebhook, leased_at: float) -> None:
        through = False
        try:
            through = await self._courier.deliver(hook, leased_at)
        except GatewayError as error:
            # The lease ends by itself; another try then begins where this one was written down.
            log.warning("webhook.interrupted", hook=hook.key, error=error.detail)
        except Exception as error:
            # One endpoint's surprise must not end the others' deliveries, nor its own.
            log.exception("webhook.crashed", hook=hook.key, session_id=hook.session_id)
            try:
                await self._courier.crashed(hook, error)
            except Exception:
                # The lease ends by itself.
                log.exception("webhook.crash_not_counted", hook=hook.key)
        if not through:
            # There is more, now or some time.
            self._due = None
            self._missed.add(hook.session_id)

    def _done(self, task: asyncio.Task[None]) -> None:
        hook = self._under_way.pop(task)
        if self._full or self._notified is None:
            self._notified = None
        elif hook.session_id in self._missed:
            self._missed.discard(hook.session_id)
            self._notified.add(hook.session_id)
        else:
            return
        self._wake.set()

    async def _listen(self) -> None:
        notifications = self._listener.notifications(
            at_least_every=self._settings.webhooks.poll_seconds
        )
        async for sessions in notifications:
            if sessions is None or self._notified is None:
                self._notified = None
            else:
                self._notified |= sessions
            self._wake.set()

    async def _tidy(self) -> None:
        """Endpoints of the settings, and the length of the logs."""
        registered = False
        while True:
            with suppress(GatewayError):
                if not registered:
                    hooks = self._settings.global_webhooks.hooks() + self._sinks.hooks()
                    await self._stores.webhooks.set_global(hooks)
                    registered = True
                age = timedelta(seconds=self._settings.webhooks.log_seconds)
                await self._stores.webhooks.forget_deliveries(age)
                await self._stores.metrics.forget(_GAUGE_LIFETIME)
                await self._stores.events.forget(
                    timedelta(seconds=self._settings.events.retention_seconds)
                )
            await asyncio.sleep(_TIDY_SECONDS if registered else _UNREACHABLE_SECONDS)
