"""What arrives is written down, in order, with its event, before anything else is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import structlog

from actors.whatsapp.port import Happened, ReceiptSeen, Received, Undecryptable
from cluster.domain.errors import Unavailable
from cluster.domain.message import Ack, OutboxState, StoredMessage
from cluster.domain.poll import VOTE, chosen, options_of
from cluster.events.poll_shape import SELECTED
from cluster.stores import Stores

__all__ = ["Recorder"]

log = structlog.get_logger(__name__)

_ACKS = {
    "delivered": (Ack.DEVICE, OutboxState.DELIVERED),
    "sender": (Ack.DEVICE, None),
    "inactive": (Ack.DEVICE, OutboxState.DELIVERED),
    "read": (Ack.READ, OutboxState.READ),
    "played": (Ack.PLAYED, OutboxState.READ),
}
#: Protocol traffic that is no message for people.
_SILENT = {"sender_key", "empty", "protocol"}
_EVENTS = {
    "reaction": "message.reaction",
    "revoke": "message.revoked",
    "edit": "message.edited",
}


class Recorder:
    """The owner's pen. A store that is away is waited for: the order of events is kept."""

    def __init__(self, *, stores: Stores, session_id: int, epoch: int) -> None:
        self._stores = stores
        self._session_id = session_id
        self._epoch = epoch

    async def received(self, event: Received) -> None:
        message = event.message
        if message.kind in _SILENT:
            return

        async def write() -> None:
            told = await self._counted(message)
            names = _names(told)
            await self._stores.inbox.record_incoming(self._session_id, self._epoch, told, *names)

        await self.while_away(write)

    async def receipt(self, event: ReceiptSeen) -> None:
        known = _ACKS.get(event.kind)
        if known is None:
            return
        ack, state = known

        async def write() -> None:
            await self._stores.inbox.record_receipt(
                self._session_id,
                self._epoch,
                chat=event.chat,
                message_ids=list(event.message_ids),
                sender=event.sender,
                ack=ack,
                state=state,
                timestamp=event.timestamp,
            )

        await self.while_away(write)

    async def happened(self, event: Happened) -> None:
        for name, payload in event.told:

            async def write(name: str = name, payload: dict[str, Any] = payload) -> None:
                await self._stores.events.append(self._session_id, name, payload, epoch=self._epoch)

            await self.while_away(write)

    async def undecryptable(self, event: Undecryptable) -> None:
        async def write() -> None:
            await self._stores.events.append(
                self._session_id,
                "message.waiting",
                {"id": event.message_id, "chat": event.chat, "from": event.sender},
                epoch=self._epoch,
            )

        await self.while_away(write)

    async def _counted(self, message: StoredMessage) -> StoredMessage:
        """A vote with the texts of the options chosen, where the history has the poll."""
        hashes = message.payload.get(VOTE)
        if message.kind != "poll_vote" or hashes is None:
            return message
        polls = await self._stores.messages.find(self._session_id, message.reply_to)
        options = next((options_of(p.payload) for p in polls if p.kind == "poll"), None)
        if options is None:
            return message
        texts = chosen(options, hashes)
        return replace(message, body=", ".join(texts), payload=message.payload | {SELECTED: texts})

    async def while_away(self, write: Callable[[], Awaitable[None]]) -> None:
        """Do something again until PostgreSQL is there."""
        delay = 0.1
        while True:
            try:
                return await write()
            except Unavailable as error:
                log.warning("recorder.store_away", error=error.detail)
                await asyncio.sleep(delay)
                delay = min(delay * 2, 2.0)


def _names(message: StoredMessage) -> tuple[str, ...]:
    """WAHA's events of a message: `message` is an incoming one, `message.any` every one."""
    if message.kind in _EVENTS:
        return (_EVENTS[message.kind],)
    if message.kind == "poll_vote":
        return ("poll.vote" if SELECTED in message.payload else "poll.vote.failed",)
    return ("message.any",) if message.from_me else ("message", "message.any")
