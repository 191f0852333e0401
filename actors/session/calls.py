"""What callers ask of a session, and the outbox's way to the wire and to its record."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Any

from actors.session.outbox import Outbox, OutboxEntry, SendOutcome
from actors.session.owner import Connected, Owner, SessionEnded
from actors.session.pacing import SessionPacing
from actors.session.reach import WhatsAppReach
from cluster.domain.errors import (
    Conflict,
    GatewayError,
    NotOwner,
    SessionNotWorking,
    Unavailable,
)
from cluster.domain.message import Followed, OutboxState
from cluster.domain.pacing import Place
from cluster.domain.session import SessionStatus
from cluster.domain.session_config import IgnoreConfig
from cluster.domain.verbs.chatting import Typing
from cluster.domain.verbs.verb import plain, verb_of
from cluster.reach import connects, way_to_whatsapp
from cluster.stores.outbox import OutboxRow
from cluster.telemetry.metrics.meter import METER
from cluster.telemetry.tracing import span

__all__ = ["Calls"]

#: Seconds a send waits for the connection to come (back) up before it is refused.
_PATIENCE = 10.0
#: Messages the library answers retries for, with some distance to its own 256 (whatsmeow retry.go,
#: recentMessagesSize).
_LIBRARY_REMEMBERS = 200
#: Seconds between tries to read what was accepted.
_FILL_AGAIN = 0.5
#: Bound on a connection to WhatsApp while a send has no answer.
_CONNECT_SECONDS = 0.4


class Calls:
    """Calls from the cluster while the session runs."""

    def __init__(
        self, owner: Owner, whatsapp_unreachable: Callable[[], None] | None = None
    ) -> None:
        """`whatsapp_unreachable`: see `Session`."""
        self._owner = owner
        self.reach = WhatsAppReach(self._connects, whatsapp_unreachable)
        self._ignored = IgnoreConfig.of(owner.record.config)
        self._pacing: SessionPacing | None = None
        #: Up to this number, what was accepted is in the outbox, or was dealt with.
        self._seen = 0
        self._filling = asyncio.Lock()
        #: What the library can still answer a retry for.
        self.sent_here: deque[str] = deque(maxlen=_LIBRARY_REMEMBERS)
        self.outbox = Outbox(
            send=self._send_entry,
            mark_sent=self._mark_sent,
            mark_failed=self._mark_failed,
            give_up=owner.settings.outbox.give_up_seconds,
        )

    # -- opening ----------------------------------------------------------------------------------

    async def open(self) -> None:
        """Take over what waits to be sent. Raises `NotOwner`, `Unavailable`."""
        owner = self._owner
        sandbox = owner.settings.whatsapp.sandbox
        try:
            policy = owner.settings.pacing.policy(
                owner.record.config.get("pacing") or {}, sandbox=sandbox
            )
        except ValueError as error:
            # Kept by an older version, or written past the API: the operator's own count.
            owner.log.warning("session.pacing_unreadable", error=str(error))
            policy = owner.settings.pacing.policy({}, sandbox=sandbox)
        if policy is not None:
            self._pacing = await SessionPacing.open(
                policy, store=owner.stores.pacing, session_id=owner.id, epoch=owner.epoch
            )
            self.outbox.pacing = self._pacing
        await self.fill()
        owner.supervise(self.outbox.start(), "outbox")

    async def fill(self, *, everything: bool = True) -> None:
        """With what waits for the linked account, or with what was accepted since the last time.
        What waits for another one fails; for nobody's turn, until one is linked. Raises
        `NotOwner`, `Unavailable`."""
        owner = self._owner
        account = owner.own_jid
        if not account:
            return
        async with self._filling:
            # Numbers are given in the order of the commits: up to this one all can be read.
            newest = owner.newest_accepted
            if failed := await owner.stores.outbox.disown(owner.id, owner.epoch, account):
                owner.log.warning("session.sends_of_another_account", failed=failed)
            after = 0 if everything else self._seen
            for row in await owner.stores.outbox.pending(owner.id, after=after):
                self._add(row)
                newest = max(newest, row.seq)
            self._seen = max(self._seen, newest)

    async def keep_filled(self) -> None:
        """With what was accepted without a word to this owner: its lease shows that."""
        owner = self._owner
        while True:
            await owner.accepted.wait()
            owner.accepted.clear()
            if owner.newest_accepted <= self._seen:
                continue
            try:
                await self.fill(everything=False)
            except NotOwner as error:
                await owner.fence(error.detail)
                return
            except GatewayError as error:
                owner.log.warning("session.outbox_unread", error=error.detail)
                await asyncio.sleep(_FILL_AGAIN)
                owner.accepted.set()

    def _add(self, row: OutboxRow) -> asyncio.Future[SendOutcome]:
        return self.outbox.add(
            OutboxEntry(
                seq=row.seq,
                message_id=row.message_id,
                chat=row.chat,
                content=row.content,
                trace=row.trace,
                accepted_at=row.accepted_at.timestamp(),
            )
        )

    def heard_from(self, chat: str) -> None:
        """A person wrote: that may end what holds their chat back."""
        if self._pacing is not None:
            self.outbox.recheck(chat)

    # -- calls ------------------------------------------------------------------------------------

    async def follow(self, row: OutboxRow, wait: float) -> Followed:
        """Send an accepted message, and say what became of it within `wait` seconds; at once when
        it is not its turn by then. Raises what it failed with, `NotOwner`."""
        owner = self._owner
        if owner.ended.done():
            raise NotOwner("the session is moving to another owner", retry_after=1)
        owner.newest_accepted = max(owner.newest_accepted, row.seq)
        owner.log.info("session.send_notified", message_id=row.message_id)
        done = self.outbox.outcome(row.message_id)
        if done is None:
            done = await self._taken(row)
        if done is None or owner.status is not SessionStatus.WORKING:
            return Followed(place=await self._place(row.seq, row.chat))
        place = await self._place(row.seq, row.chat)
        if place is not None and place.seconds > wait:
            # It will not be its turn while the caller waits.
            wait = 0.0
        ends: set[asyncio.Future[Any]] = {done, self.reach.unreachable}
        await asyncio.wait(ends, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
        if not done.done():
            return Followed(place=place)
        outcome: SendOutcome = done.result()
        if outcome.error is not None:
            raise outcome.error
        return Followed(sent_at=outcome.sent_at)

    async def _taken(self, row: OutboxRow) -> asyncio.Future[SendOutcome] | None:
        """Have a message in the outbox that is not; None: it is not to be sent here."""
        owner = self._owner
        ours = row.account in ("", owner.own_jid)
        if ours and row.seq == self._seen + 1 and not self._filling.locked():
            self._seen = row.seq
            return self._add(row)
        if row.seq > self._seen:
            # Others were accepted before it of which there was no notice.
            await self.fill(everything=False)
            return self.outbox.outcome(row.message_id)
        # Of long ago, by now it may have been dealt with.
        now = await owner.stores.outbox.get(owner.id, row.message_id)
        if not ours or now is None or now.state is not OutboxState.ACCEPTED:
            return None
        return self._add(now)

    async def request_code(self, number: str) -> str:
        """A pairing code for a phone's number (digits)."""
        connected = self._owner.connected
        if connected is None or self._owner.status is not SessionStatus.SCAN_QR_CODE:
            raise self._not_as_expected(SessionStatus.SCAN_QR_CODE)
        return await connected.client.pair_phone(number)

    async def logout(self) -> None:
        """Unlink the device at WhatsApp (when it is connected), forget its store, and stop. A
        linked one that is connecting is waited for."""
        owner = self._owner
        await self._patiently()
        if owner.connected is not None and owner.status is SessionStatus.WORKING:
            await owner.connected.client.logout()
        if owner.device is not None:
            await owner.device.device_store.forget()
        owner.me = None
        owner.end(SessionEnded(how="logged_out"))

    async def request(self, verb: str, arguments: dict[str, Any]) -> Any:
        """Anything else that WhatsApp can do, by name and plain values: see
        `cluster.domain.verbs`."""
        connected = await self._working()
        answer = await connected.client.request(verb_of(verb, arguments))
        connected.device_store.changed()
        return plain(answer)

    async def _working(self) -> Connected:
        """The connection to ask. Raises `NotOwner`, `Unavailable`, `SessionNotWorking`."""
        owner = self._owner
        if owner.ended.done():
            raise NotOwner("the session is moving to another owner", retry_after=1)
        await self._patiently()
        if owner.status is SessionStatus.STARTING and owner.me is not None:
            raise Unavailable("the session is connecting to WhatsApp", retry_after=2)
        connected = owner.connected
        if connected is None or owner.status is not SessionStatus.WORKING:
            raise self._not_as_expected(SessionStatus.WORKING)
        if not connected.keeper.held:
            raise NotOwner("the session's lease is not certain at the moment", retry_after=1)
        return connected

    async def _patiently(self) -> None:
        """A takeover or a short break of the connection is not the caller's business."""
        owner = self._owner
        if owner.status is SessionStatus.STARTING and owner.me is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE), owner.changed:
                    await owner.changed.wait_for(lambda: owner.status is not SessionStatus.STARTING)

    def _not_as_expected(self, *expected: SessionStatus) -> GatewayError:
        owner = self._owner
        if owner.ended.done():
            return Conflict("the session is ending")
        return SessionNotWorking(
            session=owner.record.name,
            status=owner.status.value,
            expected=[e.value for e in expected],
        )

    async def _place(self, seq: int, chat: str) -> Place | None:
        """Where an accepted message stands; None without limits, or while nobody knows."""
        if self._pacing is None:
            return None
        try:
            return await self._pacing.place(chat, self.outbox.ahead_of(seq))
        except Unavailable:
            # It is accepted: that must be the answer.
            return None

    # -- outbox: the wire and the record ----------------------------------------------------------

    def _held(self, detail: str) -> Connected:
        connected = self._owner.connected
        if connected is None or not connected.keeper.held:
            raise Unavailable(detail, retry_after=1)
        return connected

    async def _send_entry(self, entry: OutboxEntry) -> datetime:
        connected = self._held("not connected")
        if self._pacing is not None and not entry.attempts:
            seconds = self._pacing.typing(entry.chat, entry.content)
            connected = await self._type(connected, entry, seconds)
        with (
            span(
                "whatsapp.send",
                {"traceparent": entry.trace} if entry.trace else None,
                kind="client",
                session=self._owner.record.name,
                epoch=self._owner.epoch,
                message_id=entry.message_id,
                attempt=entry.attempts + 1,
            ),
            self.reach.sends(),
        ):
            sent_at = await connected.client.send(
                chat=entry.chat, content=entry.content, message_id=entry.message_id
            )
        self.sent_here.append(entry.message_id)
        return sent_at

    async def _connects(self) -> bool:
        """To where the session's connection leads; its own proxy is not looked at."""
        if self._owner.record.config.get("proxy"):
            return True
        way = way_to_whatsapp(self._owner.settings.whatsapp.proxy_url)
        return await connects(*way, seconds=_CONNECT_SECONDS)

    async def _type(self, connected: Connected, entry: OutboxEntry, seconds: float) -> Connected:
        """Show as typing for so long; the connection after that. The message itself ends it at the
        receiver's."""
        if seconds <= 0:
            return connected
        try:
            await connected.client.request(Typing(chat=entry.chat, typing=True))
        except GatewayError as error:
            self._owner.log.debug("session.typing_not_shown", error=error.detail)
        await asyncio.sleep(seconds)
        return self._held("not connected any more")

    async def _mark_sent(self, entry: OutboxEntry, sent_at: datetime) -> None:
        owner = self._owner
        try:
            await owner.stores.outbox.mark_sent(
                owner.id,
                owner.epoch,
                entry.message_id,
                sent_at,
                emit=not self._ignored.ignores(entry.chat),
            )
        except NotOwner as error:
            await owner.fence(error.detail)
            raise
        METER.count("messages", "out")
        if entry.accepted_at:
            METER.observe("send_latency", max(0.0, time.time() - entry.accepted_at))
        if owner.device is not None:
            owner.device.device_store.changed(entry.trace)

    async def _mark_failed(self, entry: OutboxEntry, error: GatewayError) -> None:
        owner = self._owner
        try:
            await owner.stores.outbox.mark_failed(
                owner.id,
                owner.epoch,
                entry.message_id,
                error,
                entry.attempts,
                emit=not self._ignored.ignores(entry.chat),
            )
        except NotOwner as lost:
            await owner.fence(lost.detail)
            raise
        METER.count("messages", "failed")
