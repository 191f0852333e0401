"""What arrives is written down, in order, with its event, before anything else is said of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import structlog

from actors.retry import retry_until_available
from actors.session.group_events import group_event_of
from actors.whatsapp.port import (
    ChatArchived,
    ChatLabeled,
    HistoryArrived,
    LabelChanged,
    ReceiptSeen,
    Received,
    SideEvents,
    Undecryptable,
    Unprocessed,
)
from cluster.domain import event_answer
from cluster.domain.chat_timer import ChatTimer, timer_of
from cluster.domain.errors import TooSlow, Unavailable, Unstorable
from cluster.domain.history import GroupEvent, HistoryChunk
from cluster.domain.jid import bare_jid, jid_server
from cluster.domain.label import Label
from cluster.domain.message import Ack, OutboxState, StoredMessage
from cluster.domain.message_kind import kind_of
from cluster.domain.poll import SELECTED, VOTE, chosen, options_of
from cluster.domain.session_config import IgnoreConfig
from cluster.events import setting_shape
from cluster.events.event_id import EventIds
from cluster.stores import Stores
from cluster.telemetry.metrics.meter import METER
from cluster.telemetry.tracing import enabled, span

__all__ = ["Recorder"]

log = structlog.get_logger(__name__)
T = TypeVar("T")

_ACKS = {
    "delivered": (Ack.DEVICE, OutboxState.DELIVERED),
    "sender": (Ack.DEVICE, None),
    "inactive": (Ack.DEVICE, OutboxState.DELIVERED),
    "read": (Ack.READ, OutboxState.READ),
    "played": (Ack.PLAYED, OutboxState.READ),
}
#: Ids of labels are kept as numbers of 64 bits.
_DIGITS = 19
#: So often a write that PostgreSQL does not finish in time is tried, while it answers others: what
#: one person sent must not hold up what everybody else sends.
_TOO_SLOW = 5
#: Timers that are remembered as written down.
_TIMERS = 10_000
#: Messages whose receipts are written in one statement.
_RECEIPTS = 500


class Recorder:
    """The owner's pen. A store that is unreachable is waited for: the order of events is kept."""

    def __init__(
        self,
        *,
        stores: Stores,
        session_id: int,
        epoch: int,
        ignored: IgnoreConfig | None = None,
    ) -> None:
        """`ignored`: chats of which nothing is emitted, and of what arrives nothing kept."""
        self._ignored = ignored or IgnoreConfig()
        self._stores = stores
        self._session_id = session_id
        self._epoch = epoch
        #: (LID, phone number) that are written down
        self._pairs: set[tuple[str, str]] = set()
        #: By chat, and member of a group whose word it is.
        self._timers: dict[tuple[str, str], ChatTimer] = {}

    async def history(self, event: HistoryArrived) -> None:
        """What was before: kept, and not emitted."""
        fresh = 0
        for chunk in event.chunks:
            fresh += await self._chunk(chunk)
        log.info("history.synced", session_id=self._session_id, kind=event.kind, messages=fresh)

    async def _chunk(self, chunk: HistoryChunk) -> int:
        """Halved until what PostgreSQL does not take is alone, and left out."""

        async def write() -> int:
            return await self._stores.history.record(self._session_id, self._epoch, chunk)

        try:
            return await self.until_available(write)
        except Unstorable as error:
            half = len(chunk.messages) // 2
            if half:
                first = replace(chunk, messages=chunk.messages[:half], chats=())
                rest = replace(chunk, messages=chunk.messages[half:])
                return await self._chunk(first) + await self._chunk(rest)
            log.warning("history.not_recorded", session_id=self._session_id, error=error.detail)
            METER.count("events_failed", "HistoryChunk")
            return 0

    async def paired(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Write down which LID belongs to which phone number, where that is news."""
        unknown = [pair for pair in pairs if pair not in self._pairs]
        if not unknown:
            return
        await self.until_available(
            lambda: self._stores.people.paired(self._session_id, self._epoch, unknown)
        )
        self._pairs.update(unknown)

    async def received(self, event: Received) -> None:
        message = event.message
        in_group = message.chat.endswith("@g.us") and not message.from_me
        await self._timed(timer_of(message), by=message.sender if in_group else "")
        if kind_of(message.kind).silent or self._ignored.ignores(message.chat):
            return

        async def write() -> None:
            received = await self._answered(await self._counted(message))
            names = _names(received)
            await self._stores.inbox.record_incoming(
                self._session_id, self._epoch, received, *names
            )

        await self.paired(_pairs_of(message))
        await self.until_available(write)

    async def _timed(self, timer: ChatTimer | None, *, by: str = "") -> None:
        """Keep after how long messages of a chat disappear, where that is news."""
        if timer is None or self._timers.get((timer.chat, by)) == timer:
            return
        await self.until_available(
            lambda: self._stores.chats.set_timer(self._session_id, self._epoch, timer, by=by)
        )
        if len(self._timers) >= _TIMERS:
            self._timers.clear()
        self._timers[timer.chat, by] = timer

    async def receipt(self, event: ReceiptSeen, ids: EventIds) -> None:
        known = _ACKS.get(event.kind)
        if known is None:
            return
        ack, state = known
        for start in range(0, len(event.message_ids), _RECEIPTS):
            some = event.message_ids[start : start + _RECEIPTS]
            await self._receipt(replace(event, message_ids=some), ack, state, ids)

    async def _receipt(
        self, event: ReceiptSeen, ack: Ack, state: OutboxState | None, ids: EventIds
    ) -> None:
        async def write() -> None:
            with span("whatsapp.receipt", await self._traced(event), kind="consumer", ack=int(ack)):
                await self._stores.inbox.record_receipt(
                    self._session_id,
                    self._epoch,
                    chat=event.chat,
                    message_ids=list(event.message_ids),
                    sender=event.sender,
                    ack=ack,
                    state=state,
                    timestamp=event.timestamp,
                    emit=not self._ignored.ignores(event.chat),
                    event_of=ids.of,
                )

        await self.paired(
            _pairs((event.chat_address, event.chat), (event.sender_address, event.sender))
        )
        await self.until_available(write)

    async def _traced(self, event: ReceiptSeen) -> dict[str, str] | None:
        """The request that the first of the messages goes back to."""
        if not enabled():
            return None
        found = await self._stores.outbox.traces(self._session_id, event.message_ids)
        return {"traceparent": found[0]} if found else None

    async def side_events(self, event: SideEvents, ids: EventIds) -> None:
        for timer in event.timers:
            await self._timed(timer)
        for nth, (name, payload) in enumerate(event.events):
            if (group_event := group_event_of(name, payload, datetime.now(UTC))) is not None:

                async def keep(group_event: GroupEvent = group_event) -> None:
                    await self._stores.groups.write(self._session_id, self._epoch, group_event)

                await self.until_available(keep)
            if self._ignored.ignores(_chat_of(payload)):
                continue

            async def write(
                name: str = name, payload: dict[str, Any] = payload, part: str = str(nth)
            ) -> None:
                await self._append(name, payload, ids, part)

            await self.until_available(write)

    async def undecryptable(self, event: Undecryptable, ids: EventIds) -> None:
        if self._ignored.ignores(event.chat):
            return

        async def write() -> None:
            payload = {"id": event.message_id, "chat": event.chat, "from": event.sender}
            await self._append("message.waiting", payload, ids)

        await self.until_available(write)

    async def label(self, event: LabelChanged, ids: EventIds) -> None:
        """Made, changed or deleted: kept, then emitted."""
        label = Label(id=event.id, name=event.name, color=event.color)

        async def write() -> None:
            labels = self._stores.labels
            if event.deleted:
                # WhatsApp does not say what it was.
                known = await labels.list(self._session_id)
                was = next((one for one in known if one.id == label.id), label)
                await self._append("label.deleted", setting_shape.label(was), ids)
                await labels.delete(self._session_id, label.id, epoch=self._epoch)
            else:
                await labels.put(self._session_id, label, epoch=self._epoch)
                await self._append("label.upsert", setting_shape.label(label), ids)

        # Anything else would be no label of WhatsApp's.
        if label.id.isdecimal() and len(label.id) < _DIGITS:
            await self.until_available(write)

    async def chat_labeled(self, event: ChatLabeled, ids: EventIds) -> None:
        """Of a label that is not known, the name is emitted as empty."""

        async def write() -> None:
            known = await self._stores.labels.list(self._session_id)
            label = next((one for one in known if one.id == event.label), None)
            if label is not None:
                await self._stores.labels.mark(
                    self._session_id,
                    label.id,
                    event.chat,
                    labeled=event.labeled,
                    epoch=self._epoch,
                )
            if self._ignored.ignores(event.chat):
                return
            label = label or Label(id=event.label, name="", color=0)
            name = "label.chat.added" if event.labeled else "label.chat.deleted"
            await self._append(name, setting_shape.chat_label(label, event.chat), ids)

        await self.until_available(write)

    async def archived(self, event: ChatArchived, ids: EventIds) -> None:
        if self._ignored.ignores(event.chat):
            return
        payload = setting_shape.archived(
            event.chat, archived=event.archived, timestamp_ms=event.timestamp_ms
        )
        await self.until_available(lambda: self._append("chat.archive", payload, ids))

    async def emit(self, name: str, payload: dict[str, Any]) -> None:
        """An event of the gateway's own. Raises `NotOwner`; waits for PostgreSQL."""
        ids = EventIds()
        await self.until_available(lambda: self._append(name, payload, ids))

    async def _append(
        self, name: str, payload: dict[str, Any], ids: EventIds, part: str = ""
    ) -> None:
        await self._stores.events.append(
            self._session_id, name, payload, epoch=self._epoch, event=ids.of(part)
        )

    async def _counted(self, message: StoredMessage) -> StoredMessage:
        """A vote with the texts of the options chosen, where the history has the poll."""
        hashes = message.payload.get(VOTE)
        if message.kind != "poll_vote" or hashes is None:
            return message
        polls = await self._stores.messages.find(
            self._session_id, message.reply_to, chat=message.chat
        )
        options = next((options_of(p.payload) for p in polls if p.kind == "poll"), None)
        if options is None:
            return message
        texts = chosen(options, hashes)
        return replace(message, body=", ".join(texts), payload=message.payload | {SELECTED: texts})

    async def _answered(self, message: StoredMessage) -> StoredMessage:
        """An answer to an event message with what it says, where the history has that event."""
        if message.kind != "event_response":
            return message
        for event in await self._stores.messages.find(self._session_id, message.reply_to):
            if event.kind != "event" or event.chat != message.chat:
                continue
            if (answer := event_answer.answered(message, event)) is not None:
                payload = message.payload | {event_answer.ANSWER: answer}
                return replace(message, body=answer["response"], payload=payload)
        return message

    async def set_aside(self, event: Unprocessed) -> None:
        """What could not be understood or recorded is kept as it came, and reported."""
        kind = event.kind
        log.error("recorder.set_aside", session_id=self._session_id, kind=kind, error=event.error)
        METER.count("events_quarantined", kind)
        await self.until_available(
            lambda: self._stores.quarantine.put(
                self._session_id, self._epoch, kind=kind, entry=event.entry, error=event.error
            )
        )

    async def until_available(self, write: Callable[[], Awaitable[T]]) -> T:
        """Do something again until PostgreSQL is there. Raises `Unstorable` for what it does not
        take, also because that takes too long while other statements are answered."""
        slow = 0

        async def on_unavailable(error: Unavailable) -> None:
            nonlocal slow
            slow += isinstance(error, TooSlow) and await self._answers()
            if slow >= _TOO_SLOW:
                raise Unstorable("PostgreSQL takes too long for it") from error

        # `NotOwner`: what a newer owner does not know of, the spool still has.
        return await retry_until_available(
            write, "recorder.store_unreachable", pauses=(0.1, 2.0), on_unavailable=on_unavailable
        )

    async def _answers(self) -> bool:
        try:
            await self._stores.db.ping()
        except Unavailable:
            return False
        return True


def _pairs_of(message: StoredMessage) -> list[tuple[str, str]]:
    """What a message says of the two addresses of a person: the wire's, and the one it is kept
    under."""
    return _pairs(
        (message.payload.get("chat_address"), message.chat),
        (message.payload.get("sender_address"), message.sender),
    )


def _pairs(*addresses: tuple[object, str]) -> list[tuple[str, str]]:
    return [
        (bare_jid(on_wire), kept)
        for on_wire, kept in addresses
        if isinstance(on_wire, str)
        and jid_server(on_wire) == "lid"
        and jid_server(kept) == "s.whatsapp.net"
    ]


def _chat_of(payload: dict[str, Any]) -> str:
    """The chat that an event besides messages is of; empty where it is of none."""
    group = payload.get("group")
    return str(group.get("id") if isinstance(group, dict) else payload.get("id") or "")


def _names(message: StoredMessage) -> tuple[str, ...]:
    """WAHA's events of a message: `message` is an incoming one, `message.any` every one."""
    kind = kind_of(message.kind)
    if kind.event:
        sealed = kind.opened and kind.opened not in message.payload
        return (f"{kind.event}.failed" if sealed else kind.event,)
    return ("message.any",) if message.from_me else ("message", "message.any")
