"""Following many sessions at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from client.events import event_source, wanted_types
from client.live import SharedListener
from cluster.events.envelope import envelope
from cluster.stores import Stores

__all__ = ["follow_sessions"]

_PAGE = 100


async def follow_sessions(
    stores: Stores,
    tenant: str,
    live: SharedListener,
    types: Sequence[str],
    heartbeat: float,
    base_url: str,
) -> AsyncIterator[dict[str, Any] | None]:
    """New events of all sessions of a tenant, each session's in order; sessions made meanwhile
    from their first event on. None comes first: what happens from then on follows; and again when
    nothing happened for `heartbeat` seconds."""
    only, mark = wanted_types(types), live.mark()
    present = await stores.sessions.list(tenant)
    cursors = await stores.events.newest_of([record.id for record in present])
    clock = asyncio.get_running_loop().time
    yielded_at = clock()
    yield None
    while True:
        await live.changed(None, mark, seconds=heartbeat)
        mark = live.mark()
        if clock() - yielded_at >= heartbeat:
            yield None
            yielded_at = clock()
        records = {record.id: record for record in await stores.sessions.list(tenant)}
        newest = await stores.events.newest_of(list(records))
        for gone in cursors.keys() - records.keys():
            del cursors[gone]
        for session_id, last in newest.items():
            after = cursors.get(session_id, 0)
            source = event_source(records[session_id], base_url)
            while after < last:
                found = await stores.events.list(
                    session_id, after=after, until=last, types=only, limit=_PAGE
                )
                for event in found:
                    yield envelope(event, source)
                    yielded_at = clock()
                after = found[-1].seq if len(found) == _PAGE else last
            cursors[session_id] = after
