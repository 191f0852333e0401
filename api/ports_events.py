"""What the HTTP front needs of a session's events and webhooks: `cluster.client`, as protocols."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, Protocol

from cluster.events.poster import Outcome
from cluster.stores.dead_letters import DeadLetter
from cluster.stores.quarantine import Quarantined
from cluster.stores.webhooks import Delivery, WebhookState

__all__ = ["EventPage", "EventsPort", "WebhooksPort"]


class EventPage(Protocol):
    """See `cluster.client.events.EventPage`."""

    @property
    def events(self) -> list[dict[str, Any]]: ...

    @property
    def next(self) -> int: ...

    @property
    def newest(self) -> int: ...


class EventsPort(Protocol):
    """See `cluster.client.events.Events`."""

    async def list(
        self,
        *,
        after: int = 0,
        limit: int = 100,
        types: Sequence[str] = (),
        wait: float = 0,
        base_url: str = "",
    ) -> EventPage: ...

    def follow(
        self,
        *,
        after: int | None = None,
        types: Sequence[str] = (),
        beat: float = 15.0,
        base_url: str = "",
    ) -> AsyncIterator[dict[str, Any] | None]: ...

    async def replay(
        self,
        webhook: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        after_seq: int | None = None,
        until_seq: int | None = None,
    ) -> tuple[str, int]: ...

    async def quarantined(
        self, *, before: int | None = None, limit: int = 100
    ) -> Sequence[Quarantined]: ...

    async def quarantined_entry(self, entry_id: int) -> bytes: ...

    async def delete_quarantined(self, entry_id: int) -> None: ...


class WebhooksPort(Protocol):
    """See `cluster.client.webhooks.Webhooks`."""

    async def states(self) -> Sequence[WebhookState]: ...

    async def deliveries(
        self, *, webhook: str | None = None, before: int | None = None, limit: int = 100
    ) -> Sequence[Delivery]: ...

    async def dead_letters(
        self,
        *,
        webhook: str | None = None,
        resolved: bool = False,
        after: int = 0,
        limit: int = 100,
    ) -> Sequence[DeadLetter]: ...

    async def replay_dead_letters(
        self, *, ids: Sequence[int] | None = None, webhook: str | None = None
    ) -> int: ...

    async def delete_dead_letter(self, letter_id: int) -> None: ...

    async def test(
        self, *, webhook: str | None = None, config: dict[str, Any] | None = None
    ) -> Outcome: ...
