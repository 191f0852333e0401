"""Sessions that are to be stopped and whose owner did not live to say so."""

from __future__ import annotations

from cluster.domain.session import DesiredState, SessionRecord, SessionStatus
from cluster.stores import Stores

__all__ = ["mark_stopped"]


async def mark_stopped(stores: Stores, record: SessionRecord) -> None:
    """Store and emit STOPPED for an owner that was killed, or had not come that far.

    While its lease holds nothing happens: the supervisor's next look finds it ended.
    """
    if record.desired is not DesiredState.STOPPED:
        return
    if await stores.sessions.set_unowned(record.id, SessionStatus.STOPPED):
        payload = {"status": SessionStatus.STOPPED.value, "reason": ""}
        await stores.events.append(record.id, "session.status", payload)
