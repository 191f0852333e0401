"""What a session does while it is connected: events come in, and the connection stays."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from actors.session.calls import Calls
from actors.session.eager_downloads import EagerDownloads
from actors.session.engine_state import state_after
from actors.session.outbox import OutboxEntry
from actors.session.owner import Claimed, Connected, Device, Owner, SessionEnded
from actors.session.state_machine import Step, step
from actors.whatsapp.port import (
    ChatArchived,
    ChatLabeled,
    EventSpool,
    HistoryArrived,
    LabelChanged,
    Paired,
    QrShown,
    ReceiptSeen,
    Received,
    Renamed,
    Replaced,
    SideEvents,
    Undecryptable,
    Unprocessed,
    WhatsAppClient,
    WhatsAppEvent,
)
from cluster.domain.errors import GatewayError, NotOwner, Unavailable
from cluster.domain.message import OutboxState
from cluster.domain.session import SessionRecord, SessionStatus
from cluster.domain.verbs import lids
from cluster.events.event_id import EventIds
from cluster.events.names import ENGINE_EVENT
from cluster.settings import Settings
from cluster.telemetry.metrics.meter import METER

__all__ = ["ClientFactory", "Serving"]

#: (device store, unique key, receiver of events, spool)
ClientFactory = Callable[
    [Path, str, Callable[[WhatsAppEvent, bytes], Awaitable[None]], EventSpool], WhatsAppClient
]
#: What is written down as it comes, whatever the session's status.
_RECORDED = (
    Received,
    ReceiptSeen,
    Undecryptable,
    SideEvents,
    HistoryArrived,
    LabelChanged,
    ChatLabeled,
    ChatArchived,
    Unprocessed,
)

#: Seconds a QR code stays valid: the first of a connection, and each after it (whatsmeow qrchan.go)
_QR_FIRST, _QR_NEXT = 60, 20
#: How often the outbox answers a device that could not decrypt a message.
_MAX_RETRIES = 3
#: Seconds after a takeover in which a former owner may replace our connection, and how often.
_CONTESTED_SECONDS, _CONTESTS = 60.0, 2
#: Seconds between tries to get a connection that does not come up.
_RECONNECT = (2.0, 5.0, 15.0, 30.0, 60.0, 120.0)


class Serving:
    """Connections of one owner, one after the other, and what they emit."""

    def __init__(
        self,
        owner: Owner,
        *,
        claimed: Claimed,
        device: Device,
        calls: Calls,
        attachments: EagerDownloads,
        client_factory: ClientFactory,
    ) -> None:
        """See `Session`."""
        self._owner = owner
        self._claimed = claimed
        self._recorder = claimed.recorder
        self._device = device
        self._calls = calls
        self._outbox = calls.outbox
        self._attachments = attachments
        self._make_client = client_factory
        self._attempt = 0
        self._qr_seen = 0
        #: Monotonic seconds: when a connection may be tried.
        self._not_before = float("-inf")
        self._contests = 0
        self._sent_again: Counter[str] = Counter()
        self._learning: asyncio.Task[None] | None = None

    # -- connections ------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Make a client and have it connect; events report what follows."""
        owner, device = self._owner, self._device
        if owner.ended.done():
            return
        self._attempt += 1
        self._qr_seen = 0
        key = f"{owner.id}.{owner.epoch}.{self._attempt}"
        client = self._make_client(device.folder.database, key, self._on_event, device.spool)
        client.on_broken = owner.broke
        client.config = owner.record.config
        client.engine_events = _wants_engine_events(owner.record, owner.settings)
        owner.connected = Connected(
            client=client,
            keeper=self._claimed.keeper,
            device_store=device.device_store,
        )
        await self._replay(client)
        await client.connect()

    async def watch(self) -> None:
        """A connection that does not come up is made anew, with patience that grows."""
        owner = self._owner
        tries = 0
        while True:
            async with owner.changed:
                await owner.changed.wait_for(lambda: owner.status is SessionStatus.STARTING)
            if self._not_before <= time.monotonic():
                limit = owner.settings.whatsapp.connect_timeout_seconds
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(limit), owner.changed:
                        await owner.changed.wait_for(
                            lambda: owner.status is not SessionStatus.STARTING
                        )
                    tries = 0
                    continue
            # WhatsApp may not want it before: this connection will not come up.
            paused = max(0.0, self._not_before - time.monotonic())
            await asyncio.sleep(paused)
            owner.log.warning("session.reconnect", tries=tries, reason=owner.reason)
            if owner.connected is not None:
                await owner.connected.client.close()
            if owner.may_connect:
                # Another client beside it would be a second connection: the next process's turn.
                owner.end(SessionEnded(how="stopped", reason="a connect could not be ended"))
                return
            await owner.drain()
            if not paused:
                await asyncio.sleep(_RECONNECT[min(tries, len(_RECONNECT) - 1)])
                tries += 1
            await self.connect()

    # -- what earlier owners received -------------------------------------------------------------

    async def adopt(self, entries: list[bytes]) -> None:
        """Take over what a fenced owner received and could not commit."""
        owner = self._owner
        if owner.connected is None or owner.ended.done():
            raise NotOwner("the session has no owner at the moment", retry_after=1)
        owner.log.warning("session.adopts", entries=len(entries))
        client = owner.connected.client
        for entry in entries:
            await self._record_entry(client, entry)

    async def _replay(self, client: WhatsAppClient) -> None:
        """Commit what earlier owners left, and earlier connections, before anything new arrives."""
        left = self._device.spool.pending()
        if left:
            self._owner.log.warning("session.replays_spool", entries=len(left))
        for ticket, entry in left.items():
            await self._record_entry(client, entry)
            self._device.spool.done(ticket)

    async def _record_entry(self, client: WhatsAppClient, entry: bytes) -> None:
        """What an earlier owner received: recorded, or set aside. Raises `NotOwner`."""
        event = client.decode(entry, self._owner.own_jid)
        if event is None:
            return
        ids = EventIds(entry, recorded_before=True)
        try:
            await self._record(event, ids)
        except NotOwner:
            raise
        except Exception as error:
            self._owner.log.exception("session.entry_not_recorded", kind=type(event).__name__)
            METER.count("events_failed", type(event).__name__)
            await self._record(client.unprocessed(entry, error), ids)

    # -- events -----------------------------------------------------------------------------------

    async def _on_event(self, event: WhatsAppEvent, entry: bytes) -> None:
        owner = self._owner
        if isinstance(event, _RECORDED):
            try:
                await self._record(event, EventIds(entry))
            except NotOwner as error:
                await owner.fence(error.detail)
                raise
            return
        if owner.ended.done():
            return
        owner.change_state(state_after(event))
        try:
            match event:
                case QrShown():
                    lifetime = _QR_NEXT if self._qr_seen else _QR_FIRST
                    self._qr_seen += 1
                    await owner.show_qr(event.text, lifetime)
                case Paired():
                    owner.me = event.me
                    await self._recorder.until_available(self._calls.fill)
                    await owner.clear_qr()
                    self._device.device_store.changed()
                case Renamed():
                    owner.rename(event.me)
        except NotOwner as error:
            await owner.fence(error.detail)
            return
        except Unavailable as error:
            # A cache that is unreachable must not stop the status from moving on.
            owner.log.warning("session.event_store_unreachable", error=error.detail)
        following = step(
            owner.status, event, contested=isinstance(event, Replaced) and self._contested()
        )
        if following is not None:
            await self._take_step(following)

    async def _record(self, event: WhatsAppEvent, ids: EventIds) -> None:
        """Raises `NotOwner`; waits while PostgreSQL is unreachable."""
        recorder = self._recorder
        match event:
            case Received():
                await recorder.received(event)
                METER.count("messages", "in")
                self._calls.heard_from(event.message.chat)
                self._device.device_store.changed()
                if (connected := self._owner.connected) is not None:
                    self._attachments.arrived(event.message, connected.client)
            case ReceiptSeen(kind="retry"):
                await recorder.until_available(lambda: self._send_again(event.message_ids))
            case ReceiptSeen():
                await recorder.receipt(event, ids)
            case Undecryptable():
                await recorder.undecryptable(event, ids)
            case SideEvents():
                await recorder.side_events(event, ids)
            case HistoryArrived():
                await recorder.history(event)
                self._device.device_store.changed()
            case LabelChanged():
                await recorder.label(event, ids)
            case ChatLabeled():
                await recorder.chat_labeled(event, ids)
            case ChatArchived():
                await recorder.archived(event, ids)
            case Unprocessed():
                await recorder.set_aside(event)

    async def _send_again(self, message_ids: Sequence[str]) -> None:
        """A device could not decrypt these. The library answers for what it sent lately itself; it
        keeps that in memory only, so for what a predecessor sent the outbox does, under the same
        id: those who have the message already know it by that."""
        owner = self._owner
        for message_id in message_ids:
            sent_here = message_id in self._calls.sent_here
            if sent_here or self._sent_again[message_id] >= _MAX_RETRIES:
                continue
            self._sent_again[message_id] += 1
            row = await owner.stores.outbox.get(owner.id, message_id)
            if row is None or row.state in (OutboxState.ACCEPTED, OutboxState.FAILED):
                continue
            if row.account not in ("", owner.own_jid):
                continue
            owner.log.info("session.sends_again", message_id=message_id)
            self._outbox.add(
                OutboxEntry(
                    seq=row.seq, message_id=row.message_id, chat=row.chat, content=row.content
                ),
                again=True,
            )

    async def _take_step(self, following: Step) -> None:
        owner = self._owner
        if following.status is SessionStatus.WORKING:
            self._attempt = 0 if self._attempt <= 1 else 1
        if following.unlinked:
            owner.me = None
        changed = (following.status, following.reason) != (owner.status, owner.reason)
        if following.pause is not None:
            self._not_before = time.monotonic() + following.pause
        if changed or following.status is SessionStatus.WORKING:
            await owner.change_status(following.status, following.reason)
        if owner.ended.done():
            return
        if following.unlinked:
            try:
                await self._device.device_store.forget()
            except NotOwner as error:
                await owner.fence(error.detail)
                return
            except GatewayError as error:
                # The next start finds it unlinked again.
                owner.log.warning("session.device_not_forgotten", error=error.detail)
        if following.status is SessionStatus.WORKING:
            self._outbox.resume()
            self._learning = asyncio.create_task(self._learn_people(), name="people")
        else:
            self._outbox.pause()
        if following.ends:
            owner.end(SessionEnded(how="failed", reason=following.reason))

    def _contested(self) -> bool:
        """Shortly after a takeover, twice: a former owner may have been connected till then."""
        if time.monotonic() - self._claimed.took_over_at > _CONTESTED_SECONDS:
            return False
        self._contests += 1
        return self._contests <= _CONTESTS

    async def _learn_people(self) -> None:
        """Who is who, as the library knows it: not every way it learns that shows in an event."""
        connected = self._owner.connected
        if connected is None:
            return
        try:
            pairs = await connected.client.request(lids.All())
            await self._recorder.paired(pairs)
        except GatewayError as error:
            # The next connection tries again; a lost ownership shows elsewhere as well.
            self._owner.log.warning("session.people_not_learned", error=error.detail)


def _wants_engine_events(record: SessionRecord, settings: Settings) -> bool:
    """Somebody names them: they are many, and `*` leaves them out."""
    configured = record.config.get("webhooks")
    hooks = [*(configured if isinstance(configured, list) else ())]
    hooks += settings.global_webhooks.hooks()
    named = {name for hook in hooks for name in hook.get("events") or ()}
    return settings.events.engine or ENGINE_EVENT in named
