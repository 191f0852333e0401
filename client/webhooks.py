"""The webhooks of a session: how they do, what they were sent, what they did not take."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from client.events import event_source
from cluster.domain.errors import NotFound
from cluster.domain.outcome import Outcome
from cluster.events.envelope import Event, body_of
from cluster.events.event_id import new_event_id
from cluster.stores.dead_letters import DeadLetter
from cluster.stores.webhooks import Delivery, WebhookState
from cluster.webhooks.endpoint import Endpoint
from cluster.webhooks.poster import Poster

if TYPE_CHECKING:
    from client.session import SessionClient

__all__ = ["Webhooks"]

_MOST = 1000


class Webhooks:
    """Webhooks are set in the session's configuration; this looks after them."""

    def __init__(self, session: SessionClient) -> None:
        self._session = session

    async def states(self) -> list[WebhookState]:
        """Every webhook of the session, with those of the gateway's settings and replays."""
        stores, record = await self._session.opened()
        return await stores.webhooks.states(record.id)

    async def deliveries(
        self, *, webhook: str | None = None, before: int | None = None, limit: int = 100
    ) -> list[Delivery]:
        """The log of tries, newest first, with ids below `before`."""
        stores, record = await self._session.opened()
        return await stores.webhooks.deliveries(
            record.id, key=webhook, before=before, limit=min(limit, _MOST)
        )

    async def dead_letters(
        self,
        *,
        webhook: str | None = None,
        resolved: bool = False,
        after: int = 0,
        limit: int = 100,
    ) -> list[DeadLetter]:
        """Events that were not taken in all their tries, oldest first, with ids above `after`;
        with `resolved` those that a replay has delivered since."""
        stores, record = await self._session.opened()
        return await stores.dead_letters.list(
            record.id, key=webhook, resolved=resolved, after=after, limit=min(limit, _MOST)
        )

    async def replay_dead_letters(
        self, *, ids: Sequence[int] | None = None, webhook: str | None = None
    ) -> int:
        """Try these dead letters again (without `ids` all that wait), in order per webhook.
        Returns how many. Raises `NotFound` when there is none."""
        stores, record = await self._session.opened()
        found = await stores.dead_letters.list(
            record.id, key=webhook, resolved=False, after=0, limit=_MOST, ids=ids
        )
        if not found:
            raise NotFound("there is no such dead letter")
        for letter in found:
            name = f"replay_{secrets.token_hex(8)}/{letter.key}"
            await stores.webhooks.replay(
                record.id, letter.key, replay_key=name, after=letter.seq - 1, until=letter.seq
            )
        stores.events.notify_deliveries(record.id)
        return len(found)

    async def delete_dead_letter(self, letter_id: int) -> None:
        """Give one up. Raises `NotFound`."""
        stores, record = await self._session.opened()
        if not await stores.dead_letters.delete(record.id, letter_id):
            raise NotFound("there is no such dead letter")

    async def test(
        self, *, webhook: str | None = None, config: dict[str, Any] | None = None
    ) -> Outcome:
        """POST a `webhook.test` event now, once, to a webhook of the session or to one that
        `config` (WAHA's `WebhookConfig`) describes. Raises `NotFound`."""
        stores, record = await self._session.opened()
        if webhook is not None:
            config = await stores.webhooks.config(record.id, webhook)
        if config is None:
            raise NotFound(f"the session has no webhook {webhook}")
        endpoint = Endpoint.of(config)
        event = Event(
            id=new_event_id(),
            session_id=record.id,
            seq=0,
            type="webhook.test",
            payload={"message": "This is a test; nothing happened."},
            happened_at=datetime.now(UTC),
        )
        body = body_of(event, event_source(record, self._session.gateway.settings.base_url))
        settings = self._session.gateway.settings.webhooks
        poster = Poster(
            timeout=settings.timeout_seconds,
            allow=settings.allowed_to(record.tenant),
            connections=1,
        )
        try:
            headers = endpoint.request_headers(body, event.id, attempt=1)
            return await poster.post(endpoint.url, body, headers)
        finally:
            await poster.close()
