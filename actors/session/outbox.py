"""The sender: finishes what was accepted, in order per chat, one stanza at a time.

The outbox table is the truth; this is the owner's working copy of it. While what went out is
written down, the next message of another chat goes out already. Only WhatsApp's no, or ours, is
final. A message that fails for any other reason is tried again and holds back its own chat only;
after `give_up` it is failed for good, so that it blocks nothing for ever. Pacing says when the next
one may go, and which chat has to wait; it never drops any.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import heapq
import itertools
import time
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import structlog

from cluster.domain.errors import GatewayError, NotOwner, Unavailable

__all__ = ["Outbox", "OutboxEntry", "Pacing", "SendOutcome"]

log = structlog.get_logger(__name__)

#: Seconds to the next try after the n-th failed one.
_BACKOFF = (1.0, 2.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0)
#: A message that left so often and was not taken waits out its time also when the connection comes
#: back: it may be what ends the connection.
_SUSPICIOUS = 3
#: So often what no part of ours foresaw is tried: it may be the message itself.
_UNFORESEEN = 5
#: Outcomes that are remembered for who asks late.
_FINISHED = 1000
#: So many sent messages may wait for their record: a successor would send these again, under the
#: same ids.
_UNRECORDED = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class SendOutcome:
    """What became of one send."""

    #: Server time of the message; None when it failed.
    sent_at: datetime | None
    error: GatewayError | None = None


@dataclass(slots=True)
class OutboxEntry:
    """One accepted message."""

    #: Position in the session's order.
    seq: int
    message_id: str
    chat: str
    content: dict[str, Any]
    #: Times that it was given to the connection.
    attempts: int = 0
    #: Tries that failed one after the other, for whatever reason.
    failures: int = 0
    #: `traceparent` of the request; empty without tracing.
    trace: str = ""
    #: Seconds since the epoch.
    accepted_at: float = 0.0
    done: asyncio.Future[SendOutcome] | None = field(default=None)


class Pacing(Protocol):
    """See `actors.session.pacing`."""

    def wait(self) -> float:
        """Seconds until any message may go."""

    async def hold(self, chat: str) -> float:
        """Seconds that a chat has to wait beyond that. Raises `Unavailable`, `NotOwner`."""

    def took(self) -> None:
        """A message went out."""


class Outbox:
    """Order per chat, retries, one sender. Storage and the wire come in as functions."""

    def __init__(
        self,
        *,
        send: Callable[[OutboxEntry], Awaitable[datetime]],
        mark_sent: Callable[[OutboxEntry, datetime], Awaitable[None]],
        mark_failed: Callable[[OutboxEntry, GatewayError], Awaitable[None]],
        pacing: Pacing | None = None,
        give_up: float = 86_400.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`send` raises `Unavailable` for what may be tried again, with `left` among its fields
        when it may have reached WhatsApp; any other `GatewayError` is final. `give_up`: seconds
        after which an accepted message is failed; `clock`: seconds since the epoch, as
        `accepted_at`."""
        self._send = send
        self._mark_sent = mark_sent
        self._mark_failed = mark_failed
        #: None: nothing is held back.
        self.pacing = pacing
        self._give_up = give_up
        self._clock = clock
        #: In the order of their acceptance; the first may be under way.
        self._chats: dict[str, list[OutboxEntry]] = defaultdict(list)
        self._finished: OrderedDict[str, SendOutcome] = OrderedDict()
        self._ready: list[tuple[float, int, str]] = []
        self._tie = itertools.count()
        self._known: dict[str, OutboxEntry] = {}
        self._wake = asyncio.Event()
        self._open = asyncio.Event()
        self._sending = False
        self._recording: set[asyncio.Task[None]] = set()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._known)

    def recheck(self, chat: str) -> None:
        """What held a chat back may be over: its person has written."""
        if chat in self._chats:
            self._ready = [(0.0 if c == chat else at, tie, c) for at, tie, c in self._ready]
            heapq.heapify(self._ready)
            self._wake.set()

    def ahead_of(self, seq: int) -> int:
        """How many messages wait that were accepted before this one."""
        return sum(1 for entry in self._known.values() if entry.seq < seq)

    def start(self) -> asyncio.Task[None]:
        """Send from now on; the task ends by `stop`, and when the ownership is lost."""
        self._task = asyncio.create_task(self._run(), name="outbox")
        return self._task

    async def stop(self) -> None:
        task, self._task = self._task, None
        tasks = [*([task] if task else []), *self._recording]
        for one in tasks:
            one.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for entry in self._known.values():
            if entry.done is not None and not entry.done.done():
                entry.done.set_exception(NotOwner("the session is moving; its outbox goes along"))

    def pause(self) -> None:
        """No connection: hold everything back."""
        self._open.clear()

    async def settle(self, seconds: float) -> None:
        """Paused: wait until the send that is under way has ended, and what went out is written
        down, for so long at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._quiet.wait()

    def resume(self) -> None:
        """Connected: go on at once, whatever the backoff said."""
        self._open.set()
        self._ready = [
            (at if self._chats[chat][0].attempts >= _SUSPICIOUS else 0.0, tie, chat)
            for at, tie, chat in self._ready
        ]
        heapq.heapify(self._ready)
        self._wake.set()

    def add(self, entry: OutboxEntry, *, again: bool = False) -> asyncio.Future[SendOutcome]:
        """Queue an accepted message; the same id twice is one message, unless it is to go out
        `again`. The future ends when it was sent or failed for good."""
        known = self._known.get(entry.message_id, entry)
        if known.done is None:
            known.done = asyncio.get_running_loop().create_future()
        if known is not entry:
            return known.done
        if not again and (outcome := self._finished.get(entry.message_id)) is not None:
            # Asked for before its record was, and answered after.
            known.done.set_result(outcome)
            return known.done
        self._known[entry.message_id] = entry
        queue = self._chats[entry.chat]
        # Answers of several connections may come in another order than what they accepted.
        at = bisect.bisect(queue, entry.seq, lo=min(1, len(queue)), key=lambda one: one.seq)
        queue.insert(at, entry)
        if len(queue) == 1:
            self._schedule(entry.chat, 0.0)
        return known.done

    def outcome(self, message_id: str) -> asyncio.Future[SendOutcome] | None:
        """What becomes, or became, of a message; None: it is not known here."""
        loop = asyncio.get_running_loop()
        if (entry := self._known.get(message_id)) is not None:
            if entry.done is None:
                entry.done = loop.create_future()
            return entry.done
        if (finished := self._finished.get(message_id)) is None:
            return None
        done: asyncio.Future[SendOutcome] = loop.create_future()
        done.set_result(finished)
        return done

    def _schedule(self, chat: str, at: float) -> None:
        heapq.heappush(self._ready, (at, next(self._tie), chat))
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._open.wait()
            if len(self._recording) >= _UNRECORDED:
                await asyncio.wait(self._recording, return_when=asyncio.FIRST_COMPLETED)
                continue
            chat = await self._next_chat()
            if chat is None:
                continue
            entry = self._chats[chat][0]
            self._sending = True
            self._quiet.clear()
            try:
                held = await self._held(chat)
                if held > 0:
                    self._schedule(chat, time.monotonic() + held)
                    continue
                outcome = await self._try(entry)
                if isinstance(outcome, float):
                    self._schedule(chat, time.monotonic() + outcome)
                    continue
                self._record(entry, outcome)
            finally:
                self._sending = False
                self._see_if_quiet()

    def _record(self, entry: OutboxEntry, outcome: SendOutcome) -> None:
        """Its chat waits for that: a successor sends again from the first unrecorded one on."""
        task = asyncio.create_task(self._finish(entry, outcome), name="outbox record")
        self._recording.add(task)
        task.add_done_callback(self._recorded)

    def _recorded(self, task: asyncio.Task[None]) -> None:
        self._recording.discard(task)
        self._see_if_quiet()
        if not task.cancelled() and (error := task.exception()) and self._task is not None:
            # Another owner's now: nothing more may go out; the entries stay accepted.
            log.error("outbox.stopped", error=str(error))
            self._task.cancel()

    def _see_if_quiet(self) -> None:
        if not self._sending and not self._recording:
            self._quiet.set()

    async def _next_chat(self) -> str | None:
        self._wake.clear()
        if not self._ready:
            await self._wake.wait()
            return None
        wait = self._ready[0][0] - time.monotonic()
        if self.pacing is not None:
            wait = max(wait, self.pacing.wait())
        if wait > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            return None
        return heapq.heappop(self._ready)[2] if self._open.is_set() else None

    async def _held(self, chat: str) -> float:
        if self.pacing is None:
            return 0.0
        try:
            return await self.pacing.hold(chat)
        except Unavailable as error:
            log.warning("outbox.pace_unknown", error=error.detail)
            return error.retry_after

    async def _try(self, entry: OutboxEntry) -> float | SendOutcome:
        """Seconds until the next try, or what became of it."""
        try:
            sent_at = await self._send(entry)
        except Unavailable as error:
            entry.attempts += bool(error.fields.get("left"))
            return self._later(entry, error)
        except GatewayError as error:
            entry.attempts += 1
            return SendOutcome(sent_at=None, error=error)
        except Exception as error:
            log.exception("outbox.unforeseen", message_id=entry.message_id)
            if entry.failures + 1 >= _UNFORESEEN:
                failed = GatewayError(f"the message could not be sent: {type(error).__name__}")
                return SendOutcome(sent_at=None, error=failed)
            return self._later(entry, Unavailable(f"{type(error).__name__}: {error}"))
        entry.attempts += 1
        if self.pacing is not None:
            self.pacing.took()
        return SendOutcome(sent_at=sent_at)

    def _later(self, entry: OutboxEntry, error: Unavailable) -> float | SendOutcome:
        entry.failures += 1
        if entry.accepted_at and self._clock() - entry.accepted_at > self._give_up:
            return SendOutcome(sent_at=None, error=error)
        log.warning("outbox.retry", message_id=entry.message_id, error=error.detail)
        return _BACKOFF[min(entry.failures, len(_BACKOFF)) - 1]

    async def _finish(self, entry: OutboxEntry, outcome: SendOutcome) -> None:
        """WhatsApp has it (or refused it): that is written down, however long it takes. Raises
        `NotOwner`."""
        delay = 0.2
        while True:
            try:
                if outcome.sent_at is not None:
                    await self._mark_sent(entry, outcome.sent_at)
                elif outcome.error is not None:
                    await self._mark_failed(entry, outcome.error)
                break
            except NotOwner:
                raise
            except Exception as error:  # noqa: BLE001
                # It must not go out again, nor be forgotten: whatever it is, it is tried again.
                log.warning("outbox.not_recorded", message_id=entry.message_id, error=repr(error))
                await asyncio.sleep(delay)
                delay = min(delay * 2, 5.0)
        queue = self._chats[entry.chat]
        del queue[0]
        self._known.pop(entry.message_id, None)
        self._finished[entry.message_id] = outcome
        while len(self._finished) > _FINISHED:
            self._finished.popitem(last=False)
        if queue:
            self._schedule(entry.chat, 0.0)
        else:
            del self._chats[entry.chat]
        if entry.done is not None and not entry.done.done():
            entry.done.set_result(outcome)
