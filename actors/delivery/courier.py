"""One endpoint of one session: its next events, one after the other, until the lease is given back.

Order is kept because only the holder of the lease delivers, and moves on only when the event before
was delivered or became a dead letter.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import structlog

from actors.delivery.apps.configured import Apps
from actors.delivery.sinks.configured import Sinks
from actors.delivery.sinks.sink import BatchSink, SinkRecord
from actors.retry import retry_until_available
from cluster.domain.outcome import Outcome
from cluster.events.envelope import Event, body_of
from cluster.media.links import files_url
from cluster.settings import WebhookSettings
from cluster.stores import Stores
from cluster.stores.webhooks import BreakerRule, LeasedWebhook
from cluster.telemetry.metrics.meter import METER
from cluster.telemetry.tracing import carried, span
from cluster.webhooks.endpoint import Endpoint
from cluster.webhooks.poster import Poster
from cluster.webhooks.retry import RetryPolicy

__all__ = ["Courier"]

log = structlog.get_logger(__name__)
T = TypeVar("T")

#: Events read at once, and events delivered before others get their turn.
_PAGE, _TURN = 50, 200
#: Beyond the time of one POST, for writing down what became of it.
_LEASE_MARGIN = timedelta(seconds=5)
#: How long the outcome of a POST is tried to be written down while PostgreSQL is unreachable.
_WRITE_PATIENCE = 120.0
#: Characters of our own failure in the delivery log.
_ERROR_CHARS = 200


class Courier:
    """Delivers for leased webhooks. One per dispatcher."""

    def __init__(
        self,
        stores: Stores,
        poster: Poster,
        outside: Poster,
        sinks: Sinks,
        apps: Apps,
        settings: WebhookSettings,
        base_url: str,
    ) -> None:
        """`outside`: posts to public addresses only, for tenants that may not reach others.
        `base_url`: how receivers reach the gateway, for the URLs of files."""
        self._base_url = base_url
        self._stores = stores
        self._poster = poster
        self._outside = outside
        self._settings = settings
        self._sinks = sinks
        self._apps = apps
        self._longest = timedelta(seconds=settings.longest_pause_seconds)
        self.lease_for = timedelta(seconds=settings.timeout_seconds) + _LEASE_MARGIN
        self.rule = BreakerRule(
            failures=settings.breaker_failures,
            pause=timedelta(seconds=settings.breaker_pause_seconds),
            longest=timedelta(seconds=settings.breaker_longest_seconds),
        )
        self.stopping = False
        self.delivered = 0

    async def deliver(self, hook: LeasedWebhook, leased_at: float) -> bool:
        """Deliver what waits for `hook`, leased at `leased_at` (monotonic, before the lease was
        asked for). Returns when the lease is given back or lost; False when something waits
        still."""
        endpoint = Endpoint.of(hook.config)
        batch = self._sinks.batching(endpoint.url)
        page = batch.most if batch else _PAGE
        turn = 0
        while True:
            newest, events = await self._stores.events.waiting(
                hook.session_id,
                after=hook.cursor,
                until=hook.until,
                limit=page,
                types=sorted(endpoint.events),
            )
            steps = [[event] for event in events]
            if batch and events:
                steps = await self._batch(hook, batch, list(events))
                if not steps:
                    return False
            through = not events if batch else len(events) < page
            for some in steps:
                # The last one's record gives the lease back; a replay's end does more.
                ends = through and some is steps[-1] and hook.origin != "replay"
                going_on = await self._some(hook, endpoint, some, leased_at, newest if ends else 0)
                if going_on is None:
                    return False
                hook, leased_at = going_on
                turn += 1
                if ends:
                    return True
            if through or turn >= _TURN or self.stopping:
                await self._stores.webhooks.release(hook, newest if through else hook.cursor)
                return through

    async def crashed(self, hook: LeasedWebhook, error: Exception) -> None:
        """`deliver` raised what nobody foresaw: a failed try of the event it is at, which waits,
        or becomes a dead letter, like any other. Raises `Unavailable`."""
        retries, types = RetryPolicy.of(None), list[str]()
        with contextlib.suppress(Exception):
            # Its configuration may be what cannot be read.
            endpoint = Endpoint.of(hook.config)
            types, retries = sorted(endpoint.events), endpoint.retries
        stuck = await self._stores.webhooks.stuck_at(hook, types)
        if stuck is None:
            await self._stores.webhooks.wait(hook, self._longest)
            return
        await self._not_delivered(retries, *stuck, _crash(error))

    async def _batch(
        self, hook: LeasedWebhook, batch: BatchSink, events: list[Event]
    ) -> list[list[Event]]:
        """The batch that is due; none: the lease is given back or lost."""
        begun = [event for event in events if event.seq <= hook.batch_until]
        if not begun and (left := _until_due(batch, events)) > timedelta():
            await self._stores.webhooks.wait(hook, left)
            return []
        chosen = begun or events
        held = await self._stores.webhooks.begin_batch(hook, chosen[-1].seq)
        return [chosen] if held else []

    async def _some(
        self,
        hook: LeasedWebhook,
        endpoint: Endpoint,
        events: Sequence[Event],
        leased_at: float,
        until: int,
    ) -> tuple[LeasedWebhook, float] | None:
        """Deliver one event, or one batch; the lease as it is then, or None without one. `until`:
        with that delivered nothing more waits up to there, and the lease is given back; or 0."""
        late = time.monotonic() > leased_at + _LEASE_MARGIN.total_seconds()
        if self.stopping or late:
            # Late: this process stood still, and what is left of the lease may not do for a POST.
            await self._stores.webhooks.release(hook, hook.cursor)
            return None
        first = events[0]
        with span(
            "webhook.deliver",
            {"traceparent": first.trace} if first.trace else None,
            kind="producer",
            event=first.type,
            seq=first.seq,
            attempt=hook.attempts + 1,
        ):
            try:
                outcome = await self._hand_over(hook, endpoint, events)
            except Exception as error:
                log.exception("webhook.crashed", hook=hook.key, session_id=hook.session_id)
                outcome = _crash(error)
        renewed_at = time.monotonic()
        hooks, event = self._stores.webhooks, events[-1]
        METER.count("webhook_deliveries", "delivered" if outcome.delivered else "failed")
        if hook.attempts:
            METER.count("webhook_retries")
        if outcome.delivered:
            METER.observe("webhook_lag", max(0.0, time.time() - first.happened_at.timestamp()))
            self.delivered += len(events)
            held = await _written(
                lambda: hooks.delivered(
                    hook, event, outcome, rule=self.rule, lease_for=self.lease_for, until=until
                )
            )
        else:
            await self._not_delivered(endpoint.retries, hook, event, outcome)
            return None
        if not held:
            log.warning("webhook.lease_lost", hook=hook.key, seq=event.seq)
            return None
        return replace(hook, cursor=event.seq, attempts=0), renewed_at

    async def _not_delivered(
        self, retries: RetryPolicy, hook: LeasedWebhook, event: Event, outcome: Outcome
    ) -> None:
        """Count it, and give the lease back: it is tried again, or becomes a dead letter."""
        hooks, pause = self._stores.webhooks, self._pause(retries, hook, outcome)
        log.info("webhook.failed", hook=hook.key, seq=event.seq, error=outcome.error, again=pause)
        if pause is not None:
            await _written(lambda: hooks.failed(hook, event, outcome, pause=pause, rule=self.rule))
        elif await _written(
            lambda: hooks.dead_letter(
                hook, event, outcome, rule=self.rule, lease_for=self.lease_for
            )
        ):
            # The next event has its turn when the circuit lets it.
            await hooks.release(hook, event.seq)

    async def _hand_over(
        self, hook: LeasedWebhook, endpoint: Endpoint, events: Sequence[Event]
    ) -> Outcome:
        source = replace(hook.source, files=files_url(self._base_url, hook.source.name))
        if Sinks.is_sink(endpoint.url):
            records = [
                SinkRecord(
                    id=event.id,
                    seq=event.seq,
                    session=source.name,
                    type=event.type,
                    happened_at=event.happened_at,
                    body=body_of(event, source),
                )
                for event in events
            ]
            return await self._sinks.put(endpoint.url, records)
        (event,) = events
        if Apps.is_app(endpoint.url):
            return await self._apps.put(hook, endpoint.url, event, source)
        body = body_of(event, source)
        headers = endpoint.request_headers(body, event.id, attempt=hook.attempts + 1)
        headers |= carried()
        if hook.origin == "replay":
            headers["X-Webhook-Replay"] = hook.key.partition("/")[0]
        inside = hook.of_operator or self._settings.allowed_to(hook.tenant)
        poster = self._poster if inside else self._outside
        return await poster.post(endpoint.url, body, headers)

    def _pause(
        self, retries: RetryPolicy, hook: LeasedWebhook, outcome: Outcome
    ) -> timedelta | None:
        pause = retries.pause(
            hook.attempts + 1,
            chance=random.random(),  # noqa: S311 - jitter
            longest=self._longest,
        )
        if pause is not None and outcome.retry_after is not None:
            pause = max(pause, min(outcome.retry_after, self._longest))
        return pause


def _crash(error: Exception) -> Outcome:
    error_text = f"the dispatcher failed: {type(error).__name__}: {error}"[:_ERROR_CHARS]
    return Outcome(status=None, error=error_text, took=timedelta())


def _until_due(batch: BatchSink, events: Sequence[Event]) -> timedelta:
    """How long a batch still waits for more events; zero and less: it is due."""
    if len(events) >= batch.most:
        return timedelta()
    waited = datetime.now(UTC) - events[0].happened_at
    # The clocks of this machine and of PostgreSQL may differ.
    return min(batch.wait, batch.wait - waited)


async def _written(write: Callable[[], Awaitable[T]]) -> T:
    """The receiver has it: writing that down is worth waiting for PostgreSQL, up to a bound."""
    return await retry_until_available(
        write, "webhook.outcome_not_written", pauses=(0.05, 1.0), patience=_WRITE_PATIENCE
    )
