"""What a session has accepted and not sent yet, and where each message stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cluster.domain.errors import NotFound
from cluster.domain.message import OutboxState
from cluster.domain.pacing import Pace, PacePolicy, Place

if TYPE_CHECKING:
    from client.session import SessionClient

__all__ = ["Outbox", "OutboxEntry", "OutboxState", "Queue"]

#: Messages that are looked at: of a longer queue the rest has no place yet.
_MOST = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class OutboxEntry:
    """One accepted message."""

    message_id: str
    #: JID of the chat.
    chat: str
    state: OutboxState
    accepted_at: datetime
    #: While it waits.
    place: Place | None
    #: Why it failed for good; empty otherwise.
    error: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Queue:
    """The messages that wait, in order."""

    #: All of them.
    waiting: int
    #: The limits of the session; None: it has none.
    policy: PacePolicy | None
    #: What a device of this age gets of them.
    share: float
    #: New chats of the last 24 h.
    new_chats: int
    entries: Sequence[OutboxEntry]


class Outbox:
    """Verbs of a session about its outbox. They need no owner: the stores know."""

    def __init__(self, session: SessionClient) -> None:
        self._session = session

    async def queue(self, limit: int = 100) -> Queue:
        """The first `limit` messages that wait."""
        stores, record = await self._session.opened()
        settings = self._session.gateway.settings
        policy = settings.pacing.policy(
            record.config.get("pacing") or {}, sandbox=settings.whatsapp.sandbox
        )
        facts = await stores.pacing.facts(record.id)
        waiting = await stores.pacing.waiting(record.id, limit)
        opening: list[bool] = []
        seen: set[str] = set()
        for one in waiting:
            opening.append(one.opens and one.chat not in seen)
            seen.add(one.chat)
        if policy is None:
            places = [Place(ahead=n, seconds=0.0) for n in range(len(waiting))]
        else:
            pace = Pace.of(policy, facts.linked_at, facts.sent, facts.opened)
            places = pace.places(opening, facts.now)
        return Queue(
            waiting=await stores.pacing.count_waiting(record.id),
            policy=policy,
            share=policy.share(facts.now - facts.linked_at) if policy else 1.0,
            new_chats=len(facts.opened),
            entries=[
                OutboxEntry(
                    message_id=one.message_id,
                    chat=one.chat,
                    state=OutboxState.ACCEPTED,
                    accepted_at=datetime.fromtimestamp(one.accepted_at, UTC),
                    place=place,
                )
                for one, place in zip(waiting, places, strict=True)
            ],
        )

    async def entry(self, message_id: str) -> OutboxEntry:
        """One message, whatever became of it. Raises `NotFound`."""
        stores, record = await self._session.opened()
        row = await stores.outbox.get(record.id, message_id)
        if row is None:
            raise NotFound("no such message was sent through the gateway")
        place = None
        if row.state is OutboxState.ACCEPTED:
            queue = await self.queue(_MOST)
            place = next((e.place for e in queue.entries if e.message_id == message_id), None)
        return OutboxEntry(
            message_id=row.message_id,
            chat=row.chat,
            state=row.state,
            accepted_at=row.accepted_at,
            place=place,
            error=row.error,
        )
