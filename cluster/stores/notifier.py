"""A notification after each commit of events: who waits for them need not poll often.

Who follows events live hears of all; who delivers them, of those that some endpoint of the session
wants. What the endpoints want is asked once a second, and not for each event.

PostgreSQL serialises commits that notify (a lock over the flush to disk); so the notification is
a statement of its own after the commit, for all sessions of the last milliseconds. A lost one
costs a little delay: whoever listens polls too.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from contextlib import suppress

import structlog

from cluster.events.names import expand
from cluster.stores.database import Database

__all__ = ["DELIVERIES", "EVENTS", "EventNotifier"]

log = structlog.get_logger(__name__)

#: Channels: of every event, and of those that an endpoint wants.
EVENTS, DELIVERIES = "gateway_events", "gateway_deliveries"
_GATHER_SECONDS = 0.005
#: From one notification to the next: dispatchers poll no more often (`actors.delivery.dispatcher`);
#: of events that no endpoint wants, for whoever follows them live.
_BETWEEN_SECONDS, _BETWEEN_LIVE_SECONDS = 0.02, 0.1
#: What is known of a session's endpoints is asked for again after so long.
_KNOWN_SECONDS = 1.0
_MOST_KNOWN = 10_000
#: A payload holds 8,000 bytes; more sessions than this are sent as `*`.
_MOST = 300


class EventNotifier:
    """Notifies listeners which sessions have new events."""

    def __init__(self, database: Database) -> None:
        self._db = database
        #: (session, type of the event; empty: wakes whoever delivers)
        self._changed: set[tuple[int, str]] = set()
        #: By session: until when it counts (monotonic seconds), and the types that are wanted.
        self._known: OrderedDict[int, tuple[float, frozenset[str]]] = OrderedDict()
        #: There is something to deliver, or nobody knows.
        self._urgent = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        #: Monotonic seconds.
        self._published_at = float("-inf")

    def notify(self, session_id: int, *types: str) -> None:
        """The session has committed new events of these types; without any, there is something to
        deliver, whoever wants it."""
        changed = [(session_id, one) for one in types or ("",)]
        self._changed.update(changed)
        if any(self._delivers(*one) is not False for one in changed):
            self._urgent.set()
        if self._task is None:
            self._task = asyncio.create_task(self._publish(), name="event-notifier")

    def endpoints_changed(self, session_id: int) -> None:
        """The session's endpoints, or what they want, are others: until every process knows, their
        events may go without a notification, so there is one then."""
        self._known.pop(session_id, None)
        loop = asyncio.get_running_loop()
        loop.call_later(_KNOWN_SECONDS + _BETWEEN_LIVE_SECONDS, self.notify, session_id)

    async def close(self) -> None:
        """Send the last notification."""
        self._urgent.set()
        if self._task is not None:
            await self._task

    def _delivers(self, session_id: int, event_type: str) -> bool | None:
        """Whether some endpoint wants it; None: not known."""
        if not event_type:
            return True
        until, wanted = self._known.get(session_id, (float("-inf"), frozenset()))
        return event_type in wanted if time.monotonic() < until else None

    async def _publish(self) -> None:
        while self._changed:
            await self._gather()
            self._published_at = time.monotonic()
            self._urgent.clear()
            changed, self._changed = sorted(self._changed), set()
            try:
                unknown = {one for one, kind in changed if self._delivers(one, kind) is None}
                if unknown:
                    await self._learn(unknown)
                await self._db.run(
                    "SELECT pg_notify(%(events)s, %(all)s), CASE WHEN %(due)s::text <> '' "
                    "THEN pg_notify(%(deliveries)s, %(due)s) END",
                    {
                        "events": EVENTS,
                        "all": _payload({one for one, _ in changed}),
                        "deliveries": DELIVERIES,
                        "due": _payload(
                            {one for one, kind in changed if self._delivers(one, kind)}
                        ),
                    },
                )
            except Exception as error:  # noqa: BLE001
                # Whatever it is: the next event has a notification of its own.
                log.debug("events.notification_lost", error=repr(error))
        self._task = None

    async def _gather(self) -> None:
        """Wait for more, the longer the less it matters."""
        if (since := time.monotonic() - self._published_at) < _BETWEEN_LIVE_SECONDS:
            with suppress(TimeoutError):
                async with asyncio.timeout(_BETWEEN_LIVE_SECONDS - since):
                    await self._urgent.wait()
            since = time.monotonic() - self._published_at
        await asyncio.sleep(max(_GATHER_SECONDS, _BETWEEN_SECONDS - since))

    async def _learn(self, sessions: set[int]) -> None:
        """What the endpoints of sessions want."""
        rows = await self._db.all(
            "SELECT session_id, config->'events' AS names FROM webhooks "
            "WHERE session_id = ANY(%(ids)s::bigint[])",
            {"ids": sorted(sessions)},
        )
        names: dict[int, set[str]] = {one: set() for one in sessions}
        for row in rows:
            if isinstance(row["names"], list):
                names[row["session_id"]].update(one for one in row["names"] if isinstance(one, str))
        until = time.monotonic() + _KNOWN_SECONDS
        for one, wanted in names.items():
            self._known[one] = until, expand(wanted)
            self._known.move_to_end(one)
        while len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)


def _payload(sessions: set[int]) -> str:
    return "*" if len(sessions) > _MOST else ",".join(map(str, sorted(sessions)))
