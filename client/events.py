"""The events of a session: read from its log, followed live, delivered once more."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cluster.domain.cursor import EventCursor
from cluster.domain.errors import Conflict, Invalid, NotFound
from cluster.domain.session import SessionRecord
from cluster.events.envelope import EventSource, envelope
from cluster.events.names import expand, unknown
from cluster.media.links import files_url
from cluster.stores import Stores
from cluster.stores.quarantine import Quarantined

if TYPE_CHECKING:
    from client.session import SessionClient

__all__ = ["EventPage", "Events", "event_source", "wanted_types"]

_MOST, _PAGE = 1000, 100


@dataclass(frozen=True, kw_only=True, slots=True)
class EventPage:
    """Some events in order, and where to go on."""

    #: In WAHA's shape.
    events: list[dict[str, Any]]
    #: Ask for what comes `after` this next.
    next: int
    #: The same, and an error when the database has lost events that were read.
    cursor: EventCursor
    #: The newest event of the session has this number.
    newest: int


class Events:
    """The log of one session's events."""

    def __init__(self, session: SessionClient) -> None:
        self._session = session

    async def list(
        self,
        *,
        after: int | EventCursor = 0,
        limit: int = 100,
        types: Sequence[str] = (),
        wait: float = 0,
        base_url: str = "",
    ) -> EventPage:
        """Events numbered above `after`, oldest first; all kinds without `types`. With none there
        it waits up to `wait` seconds for one. `base_url`: how the reader reaches the gateway, for
        the URLs of files; without it that of the settings. Raises `SessionNotFound`, `Invalid`, and
        `Conflict` when what was read up to a cursor was lost."""
        stores, record = await self._session.opened()
        only = wanted_types(types)
        after = await self._resumed(stores, record, after)
        deadline = asyncio.get_running_loop().time() + wait
        live = self._session.gateway.live
        while True:
            mark = live.mark()
            # Read before the events: all up to here are visible then.
            newest = await stores.events.newest(record.id)
            found = await stores.events.list(
                record.id, after=after, until=newest, limit=min(limit, _MOST), types=only
            )
            left = deadline - asyncio.get_running_loop().time()
            if found or left <= 0:
                break
            await live.changed(record.id, mark, seconds=left)
        source = event_source(record, base_url or self._session.gateway.settings.base_url)
        full = len(found) >= min(limit, _MOST)
        last = found[-1] if found else None
        following = last.seq if last and full else max(after, newest)
        if last is not None and last.seq == following:
            read = last.id
        else:
            read = await stores.events.id_at(record.id, following) or ""
        return EventPage(
            events=[envelope(event, source) for event in found],
            next=following,
            cursor=EventCursor.at(following, read),
            newest=newest,
        )

    async def _resumed(
        self, stores: Stores, record: SessionRecord, after: int | EventCursor
    ) -> int:
        """The number to go on behind. Raises `Conflict`."""
        if isinstance(after, int):
            return after
        if after.check:
            present = await stores.events.id_at(record.id, after.seq)
            # One of long ago may be forgotten; what is lost is what was written last.
            if present is None or (present and not after.fits(present)):
                raise Conflict(
                    f"event {after.seq} is not the one that was read: the database has lost what "
                    "was written last, and other events have these numbers. Go on behind an "
                    "earlier number",
                    field="after",
                    newest=await stores.events.newest(record.id),
                )
        return after.seq

    async def follow(
        self,
        *,
        after: int | EventCursor | None = None,
        types: Sequence[str] = (),
        heartbeat: float = 15.0,
        base_url: str = "",
    ) -> AsyncIterator[dict[str, Any] | None]:
        """Events as they happen, after the number `after` (None: from now on). None comes first:
        what happens from then on follows; and again when nothing happened for `heartbeat` seconds.
        `base_url`, and what is raised, as in `list`. Nothing is buffered: who is slow reads
        later."""
        stores, record = await self._session.opened()
        only, live = wanted_types(types), self._session.gateway.live
        base_url = base_url or self._session.gateway.settings.base_url
        if after is None:
            cursor = await stores.events.newest(record.id)
        else:
            cursor = await self._resumed(stores, record, after)
        yield None
        clock = asyncio.get_running_loop().time
        yielded_at = clock()
        while True:
            mark = live.mark()
            newest = await stores.events.newest(record.id)
            found = await stores.events.list(
                record.id, after=cursor, until=newest, types=only, limit=_PAGE
            )
            if found:
                source = event_source(await self._session.info(), base_url)
            for event in found:
                yield envelope(event, source)
                cursor, yielded_at = event.seq, clock()
            if len(found) >= _PAGE:
                continue
            cursor = max(cursor, newest)
            if clock() - yielded_at >= heartbeat:
                yield None
                yielded_at = clock()
            await live.changed(record.id, mark, seconds=heartbeat)

    async def replay(
        self,
        webhook: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        after_seq: int | None = None,
        until_seq: int | None = None,
    ) -> tuple[str, int]:
        """Deliver a range once more to a webhook of the session, in order, beside what happens
        meanwhile. Returns the name of the replay and how many events it spans. Raises `NotFound`
        when the webhook is unknown or the range is empty."""
        stores, record = await self._session.opened()
        if after_seq is None and until_seq is None:
            span = await stores.events.span(record.id, since, until)
            if span is None:
                raise NotFound("there are no events in this range")
            after_seq, until_seq = span[0] - 1, span[1]
        first = after_seq or 0
        last = min(until_seq or 2**62, await stores.events.newest(record.id))
        if last <= first:
            raise NotFound("there are no events in this range")
        name = f"replay_{secrets.token_hex(8)}"
        if not await stores.webhooks.replay(
            record.id, webhook, replay_key=f"{name}/{webhook}", after=first, until=last
        ):
            raise NotFound(f"the session has no webhook {webhook}")
        stores.events.notify_deliveries(record.id)
        return name, last - first

    async def quarantined(
        self, *, before: int | None = None, limit: int = 100
    ) -> Sequence[Quarantined]:
        """What arrived and could not be understood or recorded, newest first; `before`: with ids
        below it. Raises `SessionNotFound`."""
        stores, record = await self._session.opened()
        return await stores.quarantine.list(record.id, before=before, limit=min(limit, _MOST))

    async def quarantined_entry(self, entry_id: int) -> bytes:
        """What the library said: one byte with its code, then its protobuf; of a large one the
        first MiB. Raises `SessionNotFound`, `NotFound`."""
        stores, record = await self._session.opened()
        return await stores.quarantine.entry(record.id, entry_id)

    async def delete_quarantined(self, entry_id: int) -> None:
        """Raises `SessionNotFound`, `NotFound`."""
        stores, record = await self._session.opened()
        await stores.quarantine.delete(record.id, entry_id)


def wanted_types(types: Sequence[str]) -> list[str]:
    """Names for the store; none: all kinds. Raises `Invalid` naming `events`."""
    if strange := unknown(types):
        raise Invalid(f"there is no event {', '.join(strange)}", field="events")
    return sorted(expand(types))


def event_source(record: SessionRecord, base_url: str) -> EventSource:
    """Where the events of a session come from. `base_url`: how the listener reaches the gateway."""
    metadata = record.config.get("metadata")
    return EventSource(
        name=record.name,
        me=record.me,
        metadata=metadata if isinstance(metadata, dict) else {},
        files=files_url(base_url, record.name),
    )
