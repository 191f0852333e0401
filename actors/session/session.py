"""One session under one epoch: claim, restore, connect, serve, let go. Plain asyncio, no Ray."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from actors.media.eager import EagerDownloads
from actors.session.dead_man import Switch
from actors.session.device_store import DeviceFolder
from actors.session.disk import FullDisk
from actors.session.engine_state import state_after
from actors.session.holder import holder_id, is_dead
from actors.session.lease import LeaseKeeper
from actors.session.machine import Step, step
from actors.session.outbox import Outbox, OutboxEntry, SendOutcome
from actors.session.pacing import SessionPacing
from actors.session.recorder import Recorder
from actors.session.spool import Spool
from actors.session.vault import DeviceVault
from actors.whatsapp.port import (
    ChatArchived,
    ChatLabeled,
    EventSpool,
    Happened,
    HistoryArrived,
    LabelChanged,
    Paired,
    QrShown,
    ReceiptSeen,
    Received,
    Renamed,
    Replaced,
    Undecryptable,
    Unprocessed,
    WhatsAppClient,
    WhatsAppEvent,
)
from cluster.domain.chat_id import parse_chat_id
from cluster.domain.errors import (
    Conflict,
    GatewayError,
    NotOwner,
    SessionNotWorking,
    Unavailable,
    Unstorable,
    WhatsAppRefused,
)
from cluster.domain.message import OutboxState, SentMessage
from cluster.domain.pacing import Place
from cluster.domain.session import DesiredState, Me, SessionRecord, SessionStatus
from cluster.domain.session_config import IgnoreConfig
from cluster.events.names import ENGINE_EVENT
from cluster.logs import tell_of_process
from cluster.metrics.meter import METER
from cluster.settings import Settings
from cluster.stores import Stores
from cluster.stores.ownership import Claim
from cluster.tracing import carried, span

__all__ = ["DISK_FULL", "ClientFactory", "HandOver", "Session", "SessionBroken", "SessionEnded"]

log = structlog.get_logger(__name__)

#: (device store, unique key, receiver of events, spool)
ClientFactory = Callable[
    [Path, str, Callable[[WhatsAppEvent], Awaitable[None]], EventSpool], WhatsAppClient
]
#: What is written down as it comes, whatever the session's status.
_RECORDED = (
    Received,
    ReceiptSeen,
    Undecryptable,
    Happened,
    HistoryArrived,
    LabelChanged,
    ChatLabeled,
    ChatArchived,
    Unprocessed,
)
#: Gives entries of a spool to whoever owns the session now; True when it took them.
HandOver = Callable[[list[bytes]], Awaitable[bool]]

#: The reason of a session that waits for room.
DISK_FULL = "the disk of the session's node is full"

#: Seconds a QR code stays valid: the first of a connection, and each after it (whatsmeow qrchan.go)
_QR_FIRST, _QR_NEXT = 60, 20
#: Seconds a send waits for the connection to come (back) up before it is refused.
_PATIENCE = 10.0
#: Messages the library answers retries for, with some distance to its own 256; and how often the
#: outbox answers for one message.
_LIBRARY_REMEMBERS, _MAX_RETRIES = 200, 3
#: Seconds that a send under way has to end before a clean stop drops the connection.
_SETTLE = 5.0
#: Seconds that what arrived before a disconnect may take to be recorded; by an owner that is fenced
#: and has it on disk.
_DRAIN, _DRAIN_FENCED = 8.0, 1.0
#: Seconds that a process which does not reach PostgreSQL has to end after it fenced itself, and to
#: let go of its parts.
_CUT_OFF, _STUCK = 12.0, 2.0
#: Seconds between looks whether the predecessor's process is dead; at the free disk space.
_LOOK, _LOOK_AT_DISK = 0.05, 1.0
#: Seconds after a takeover in which a former owner may replace our connection, and how often.
_CONTESTED_SECONDS, _CONTESTS = 60.0, 2
#: Seconds between tries to restore the store while that is not possible.
_RESTORE_AGAIN = (1.0, 2.0, 5.0, 15.0)
#: Changes of the status that are kept while they cannot be stored, and seconds between tries.
_UNREPORTED, _REPORT_AGAIN = 20, 0.5
#: Seconds between tries to get a connection that does not come up.
_RECONNECT = (2.0, 5.0, 15.0, 30.0, 60.0, 120.0)


class SessionBroken(GatewayError):
    """A part of the session ended that must not: it is started anew."""

    code = "session_broken"


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionEnded:
    """Why a session let go of its ownership."""

    #: `stopped`, `logged_out`, `failed`, `fenced`
    how: str
    reason: str = ""
    #: Fenced because PostgreSQL could not be reached, not because of a newer owner.
    cut_off: bool = False
    #: Stopped because the node's disk is full.
    disk_full: bool = False


def _wants_engine_events(record: SessionRecord, settings: Settings) -> bool:
    """Somebody names them: they are many, and `*` leaves them out."""
    configured = record.config.get("webhooks")
    hooks = [*(configured if isinstance(configured, list) else ())]
    hooks += settings.global_webhooks.hooks()
    named = {name for hook in hooks for name in hook.get("events") or ()}
    return settings.events.engine or ENGINE_EVENT in named


def _taken_over(claim: Claim, record: SessionRecord) -> str | None:
    """`takeover` after an owner that did not let go, `handover` from one that did so while the
    session was to go on; None: nobody owned it, or it was stopped meanwhile."""
    if claim.predecessor in {"expired", "alive"}:
        return "takeover"
    released = claim.predecessor == "released"
    return "handover" if released and record.status is SessionStatus.STARTING else None


class Session:
    """One session, owned by this process under one epoch.

    `run()` lives as long as the ownership: it claims the session, waits out the predecessor,
    restores the device store, connects, serves, and returns how it ended. Everything else is a
    call from outside while it runs.
    """

    def __init__(
        self,
        *,
        record: SessionRecord,
        stores: Stores,
        settings: Settings,
        node: str,
        client_factory: ClientFactory,
        dead_man: Switch | None = None,
        hand_over: HandOver | None = None,
        owned_before: bool = False,
        disk: FullDisk | None = None,
    ) -> None:
        """`dead_man`: the switch of this process, if the session may be killed with it;
        `hand_over`: the way to a newer owner; `owned_before`: by this process, which has closed
        that connection; `disk`: looked at for all sessions of the process."""
        self.record = record
        self.epoch = 0
        self.status = SessionStatus.STARTING
        self.reason = ""
        self.me: Me | None = record.me
        self._stores = stores
        self._settings = settings
        self._node = node
        self._make_client = client_factory
        self._dead_man = dead_man
        self._hand_over = hand_over
        self._owned_before = owned_before
        self._disk = disk or FullDisk(settings.data_dir, settings.spool.min_free_bytes)
        self._loop = asyncio.get_running_loop()
        #: The spool could not be written.
        self._disk_refused = asyncio.Event()
        #: After `run`: nothing of the session is under way any more, and no connection follows.
        self.has_let_go = False
        #: When no predecessor can be connected any more, in the loop's time.
        self._free_at = 0.0
        self._spool: Spool | None = None
        self._leftovers: list[tuple[int, bytes]] = []
        self._client: WhatsAppClient | None = None
        self._attempt = 0
        self._qr_seen = 0
        #: As `state.change` told it last.
        self._state = ""
        self._qr_shown = False
        #: Status and reason of the last `session.status`.
        self._told: tuple[SessionStatus, str] | None = None
        self._folder: DeviceFolder | None = None
        self._vault: DeviceVault | None = None
        self._keeper: LeaseKeeper | None = None
        self._changed = asyncio.Condition()
        self._ended: asyncio.Future[SessionEnded] = asyncio.get_running_loop().create_future()
        #: Why a part of it ended unexpectedly.
        self._broken: SessionBroken | None = None
        #: Changes of the status and the state that are not stored yet, oldest first.
        self._unreported: deque[Callable[[], Awaitable[None]]] = deque(maxlen=_UNREPORTED)
        self._reporting = asyncio.Lock()
        self._behind = asyncio.Event()
        #: Monotonic seconds: when a connection may be tried, and when this owner took over from one
        #: that did not let go.
        self._not_before = self._took_over_at = float("-inf")
        self._contests = 0
        self._log = log.bind(session=record.name, session_id=record.id, node=node)
        self._recorder: Recorder | None = None
        self._ignored = IgnoreConfig.of(record.config)
        #: what the library can still answer a retry for (whatsmeow retry.go, recentMessagesSize)
        self._sent_here: deque[str] = deque(maxlen=_LIBRARY_REMEMBERS)
        self._sent_again: Counter[str] = Counter()
        self._learning: asyncio.Task[None] | None = None
        self._attachments = EagerDownloads(
            stores=stores, settings=settings.media, session_id=record.id
        )
        self._pacing: SessionPacing | None = None
        self._outbox = Outbox(
            send=self._send_entry,
            mark_sent=self._mark_sent,
            mark_failed=self._mark_failed,
            give_up=settings.outbox.give_up_seconds,
        )

    # -- life ---------------------------------------------------------------------------------

    async def run(self) -> SessionEnded:
        """Own the session until it is stopped, fails or is fenced."""
        watchdogs = [self._supervised(self._keep_reported(), "reports")]
        try:
            claim = await self._take_ownership()
            await self._open_device(claim)
            await self._load_outbox()
            await self._connect()
            watchdogs += [
                self._supervised(self._watch_connection(), "watchdog"),
                self._supervised(self._watch_disk(), "disk watch"),
            ]
            ended = await self._ended
        except NotOwner as error:
            ended = SessionEnded(how="fenced", reason=error.detail)
        finally:
            for watchdog in watchdogs:
                watchdog.cancel()
        letting_go = asyncio.ensure_future(self._let_go(ended))
        # Calls that hang on a cut connection are not waited for when everything is on disk.
        hopeless = ended.cut_off and self._on_disk()
        await asyncio.wait({letting_go}, timeout=_STUCK if hopeless else None)
        if letting_go.done():
            letting_go.result()
            self.has_let_go = not self.may_connect
        if self._broken is not None:
            raise self._broken
        return ended

    def _supervised(self, work: Coroutine[Any, Any, None], part: str) -> asyncio.Task[None]:
        """A part of the session that lives as long as it does: none ends unnoticed."""
        task = asyncio.create_task(work, name=part)
        self._supervise(task, part)
        return task

    def _supervise(self, task: asyncio.Task[None], part: str) -> None:
        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and not self._ended.done():
                self._broke(f"its {part} ended: {task.exception()!r}")

        task.add_done_callback(ended)

    def _broke(self, reason: str) -> None:
        """A part of it ended that nothing else makes up for: it lets go, and starts anew."""
        if self._ended.done():
            return
        self._log.error("session.broken", reason=reason)
        METER.count("sessions_broken")
        self._broken = SessionBroken(reason)
        self._end(SessionEnded(how="stopped", reason=reason))

    @property
    def may_connect(self) -> bool:
        """After the client was closed: only the end of the process is sure to prevent a connection
        that follows."""
        return self._client is not None and not self._client.gone

    def stop(self, reason: str = "") -> None:
        """Ask for a clean end; `run` returns when it is done."""
        self._end(SessionEnded(how="stopped", reason=reason))

    def _end(self, ended: SessionEnded) -> None:
        if not self._ended.done():
            self._ended.set_result(ended)

    async def _take_ownership(self) -> Claim:
        claimed_at = time.monotonic()
        claim = await self._stores.ownership.claim(
            self.record.id, self._node, holder_id(), self._settings.lease.ttl
        )
        self._free_at = self._loop.time() + claim.connect_after.total_seconds()
        self.epoch = claim.epoch
        self._handed_over = claim.handed_over
        self._log = self._log.bind(epoch=self.epoch)
        tell_of_process(epoch=self.epoch)
        self._keeper = LeaseKeeper(
            settings=self._settings.lease,
            renew=lambda: self._stores.ownership.renew(
                self.record.id, self.epoch, self._settings.lease.ttl
            ),
            on_lost=self._fence,
            claimed_at=claimed_at,
            dead_man=self._dead_man,
        )
        self._supervise(self._keeper.start(), "lease keeper")
        await self._change_status(SessionStatus.STARTING, "")
        self._log.info("session.claimed", predecessor=claim.predecessor)
        self._recorder = Recorder(
            stores=self._stores,
            session_id=self.record.id,
            epoch=self.epoch,
            ignored=self._ignored,
        )
        if claim.predecessor in {"expired", "alive"}:
            self._took_over_at = time.monotonic()
        if (how := _taken_over(claim, self.record)) is not None:
            told = {
                "how": how,
                "epoch": self.epoch,
                "node": self._node,
                # Longest: it is free earlier when the predecessor's process is seen to be dead.
                "connectsAfterMs": int(claim.connect_after / timedelta(milliseconds=1)),
            }
            await self._recorder.tell("session.takeover", told)
        return claim

    async def _wait_for_predecessor(self, claim: Claim) -> None:
        """Until its lease has ended, counted from the answer to the claim, or its process has."""
        if claim.connect_after <= timedelta():
            return
        if not self._is_gone(claim):
            left = self._free_at - self._loop.time()
            self._log.info("session.waits_for_predecessor", seconds=round(left, 2))
        # Ended before it began: there is nothing to wait for.
        while (left := self._free_at - self._loop.time()) > 0 and not self._is_gone(claim):
            if (await asyncio.wait([self._ended], timeout=min(_LOOK, left)))[0]:
                return
        try:
            if not await self._stores.ownership.waited(self.record.id, self.epoch):
                raise NotOwner("a newer epoch owns the session")
        except Unavailable as error:
            # Only the successor waits for longer than it had to.
            self._log.warning("session.wait_not_told", error=error.detail)

    def _is_gone(self, claim: Claim) -> bool:
        """Whether the predecessor is proven to have no connection. One that still waited itself
        tells nothing of who was before it."""
        if not claim.previous_was_free:
            return False
        if self._owned_before and claim.previous_holder == holder_id():
            return True
        return is_dead(claim.previous_holder)

    async def _open_device(self, claim: Claim) -> None:
        """Have the store open, and be free to connect."""
        here = DeviceFolder.exists(self._settings.data_dir, self.record.id, self.epoch - 1)
        if here:
            # The predecessor's own store, which it holds as long as it lives.
            await self._wait_for_predecessor(claim)
            await self._open_store()
        else:
            # Its checkpoints are all there will be: the claim has ended its writing.
            waiting = asyncio.create_task(self._wait_for_predecessor(claim))
            try:
                await self._open_store()
                await waiting
            finally:
                waiting.cancel()

    async def _open_store(self) -> None:
        if self._ended.done():
            return
        self._folder = await asyncio.to_thread(
            DeviceFolder.take, self._settings.data_dir, self.record.id, self.epoch
        )
        self._vault = DeviceVault(
            session_id=self.record.id,
            epoch=self.epoch,
            folder=self._folder,
            stores=self._stores,
            settings=self._settings,
            on_not_owner=self._fence,
        )
        await asyncio.to_thread(self._open_spool, self._folder)
        tries = 0
        while not self._ended.done():
            try:
                copying = await self._vault.open(handed_over=self._handed_over)
            except NotOwner:
                raise
            except Unavailable as error:
                # Not the session's fault: it waits here, and tells why.
                self._log.warning("session.not_restored", tries=tries, error=error.detail)
                if self.reason != error.detail:
                    await self._change_status(SessionStatus.STARTING, error.detail)
                pause = _RESTORE_AGAIN[min(tries, len(_RESTORE_AGAIN) - 1)]
                await asyncio.wait([self._ended], timeout=pause)
                tries += 1
            else:
                self._supervise(copying, "checkpointer")
                break

    def _open_spool(self, folder: DeviceFolder) -> None:
        """What earlier owners on this node received and did not commit becomes ours."""
        paths = folder.leftover_spools()
        self._spool = Spool(
            folder.spool,
            limit=self._settings.spool.max_bytes,
            on_full=self._spool_refused,
            fsync=self._settings.spool.fsync,
        )
        self._leftovers = self._spool.take_over([e for path in paths for e in Spool.read(path)])
        if self._spool.survives:
            folder.spools_taken.update(paths)
        METER.gauge("spool_depth", str(self.record.id), lambda: self._spool_depth())

    def _spool_refused(self) -> None:
        """By the disk; in whatever thread."""
        self._loop.call_soon_threadsafe(self._disk_refused.set)

    def _spool_depth(self) -> float:
        return float(len(self._spool.pending())) if self._spool is not None else 0.0

    async def _load_outbox(self) -> None:
        sandbox = self._settings.whatsapp.sandbox
        try:
            policy = self._settings.pacing.policy(
                self.record.config.get("pacing") or {}, sandbox=sandbox
            )
        except ValueError as error:
            # Kept by an older version, or written past the API: the operator's own count.
            self._log.warning("session.pacing_unreadable", error=str(error))
            policy = self._settings.pacing.policy({}, sandbox=sandbox)
        if policy is not None:
            self._pacing = await SessionPacing.open(
                policy, store=self._stores.pacing, session_id=self.record.id, epoch=self.epoch
            )
            self._outbox.pacing = self._pacing
        await self._fill_outbox()
        self._supervise(self._outbox.start(), "outbox")

    async def _fill_outbox(self) -> None:
        """With what waits for the linked account. What waits for another one fails; for nobody's
        turn, until one is linked. Raises `NotOwner`, `Unavailable`."""
        account = self._own_jid()
        if not account:
            return
        if failed := await self._stores.outbox.disown(self.record.id, self.epoch, account):
            self._log.warning("session.sends_of_another_account", failed=failed)
        for row in await self._stores.outbox.pending(self.record.id):
            self._outbox.add(
                OutboxEntry(
                    seq=row.seq,
                    message_id=row.message_id,
                    chat=row.chat,
                    content=row.content,
                    attempts=0,
                    trace=row.trace,
                    accepted_at=row.accepted_at.timestamp(),
                )
            )

    async def _connect(self) -> None:
        if self._ended.done() or self._folder is None:
            return
        self._attempt += 1
        self._qr_seen = 0
        key = f"{self.record.id}.{self.epoch}.{self._attempt}"
        assert self._spool is not None  # noqa: S101 - opened with the folder
        client = self._make_client(self._folder.database, key, self._on_event, self._spool)
        client.on_broken = self._broke
        client.config = self.record.config
        client.engine_events = _wants_engine_events(self.record, self._settings)
        self._client = client
        await self._replay(client)
        await client.connect()

    async def _replay(self, client: WhatsAppClient) -> None:
        """Commit what earlier owners left, before anything new arrives."""
        leftovers, self._leftovers = self._leftovers, []
        if leftovers:
            self._log.warning("session.replays_spool", entries=len(leftovers))
        for ticket, entry in leftovers:
            await self._record_entry(client, entry)
            if self._spool is not None:
                self._spool.done(ticket)

    async def _record_entry(self, client: WhatsAppClient, entry: bytes) -> None:
        """What an earlier owner received: recorded, or set aside. Raises `NotOwner`."""
        event = client.decode(entry, self._own_jid())
        if event is None:
            return
        try:
            await self._record(event)
        except NotOwner:
            raise
        except Exception as error:  # noqa: BLE001
            self._log.exception("session.entry_not_recorded", kind=type(event).__name__)
            METER.count("events_failed", type(event).__name__)
            await self._record(client.unprocessed(entry, error))

    async def adopt(self, entries: list[bytes]) -> None:
        """Take over what a fenced owner received and could not commit."""
        if self._client is None or self._ended.done():
            raise NotOwner("the session has no owner at the moment", retry_after=1)
        self._log.warning("session.adopts", entries=len(entries))
        for entry in entries:
            await self._record_entry(self._client, entry)

    async def _let_go(self, ended: SessionEnded) -> None:
        """Connection first, then everything else: whatever fails here, no stanza follows. The lease
        of a client that may still connect is left to the end of its process."""
        self._outbox.pause()
        if ended.how == "stopped" and not ended.disk_full:
            await self._outbox.settle(_SETTLE)
        if self._client is not None:
            await self._client.close()
        self._stand_down(cut_off=ended.cut_off)
        await self._attachments.stop()
        if ended.how == "fenced":
            await self._outbox.stop()
            await self._pass_on_received(ended)
            # The newest store there is, unless somebody else owned the session since.
            self._release_disk(keep=True)
            return
        await self._outbox.stop()
        clean = False
        try:
            await self._drain(_DRAIN)
            if self._vault is not None and self._folder is not None:
                clean = await self._vault.close()
            status = await self._last_status(ended)
            await self._change_status(
                status,
                "" if status is SessionStatus.STOPPED else ended.reason,
                logged_out=ended.how == "logged_out",
            )
            await self._report()
            if self._keeper is not None:
                await self._keeper.stop()
            if not self.may_connect:
                await self._stores.ownership.release(self.record.id, self.epoch, clean=clean)
            await self._clear_qr()
        except GatewayError as error:
            # The lease runs out by itself; the successor then treats the store as stale.
            self._log.warning("session.release_failed", error=error.detail)
        finally:
            if self._keeper is not None:
                await self._keeper.stop()
            self._release_disk(keep=not clean)
        self._log.info("session.ended", how=ended.how, reason=ended.reason, clean=clean)

    async def _last_status(self, ended: SessionEnded) -> SessionStatus:
        """A handover is not the end: the session starts again elsewhere."""
        if ended.how == "logged_out":
            return SessionStatus.STOPPED
        if ended.how != "stopped":
            return SessionStatus.FAILED
        record = await self._stores.sessions.get_by_id(self.record.id)
        wanted = record.desired is DesiredState.RUNNING
        return SessionStatus.STARTING if wanted else SessionStatus.STOPPED

    async def _drain(self, seconds: float) -> None:
        """Everything that arrived is recorded, or stays in the spool."""
        if self._client is None:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._client.drained()
        except TimeoutError:
            self._log.warning("session.not_drained", seconds=seconds)

    async def _pass_on_received(self, ended: SessionEnded) -> None:
        """Fenced: commit what was received if the epoch is still the newest, else hand it over.
        What is on disk, the next process on this node or its agent sees to."""
        if self._spool is None:
            return
        survives = self._spool.survives
        await self._drain(_DRAIN_FENCED if survives else self._settings.spool.drain_seconds)
        left = self._spool.pending()
        newer = not (survives and ended.cut_off)
        if (
            left
            and newer
            and self._hand_over is not None
            and await self._hand_over(list(left.values()))
        ):
            for ticket in left:
                self._spool.done(ticket)
            left = {}
        self._log.info("session.passed_on", left_in_spool=len(left))

    async def abandon(self) -> None:
        """After `run` raised or was fenced, in a process that goes on: nothing of it stays."""
        self._outbox.pause()
        try:
            if self._client is not None:
                await self._client.close()
            if self._dead_man is not None and not self.may_connect:
                self._dead_man.disarm()
            # The next owner in this process arms it: what is under way here must not touch it.
            self._dead_man = None
            if self._keeper is not None:
                await self._keeper.stop()
            await self._attachments.stop()
            await self._outbox.stop()
            await self._drain(_DRAIN)
            if self._vault is not None:
                await self._vault.abandon()
        finally:
            # The node's agent, and the next owner here, may look into it.
            self._release_disk(keep=True)

    def _release_disk(self, *, keep: bool) -> None:
        METER.gauge("spool_depth", str(self.record.id), None)
        if self._spool is not None:
            keep = keep or bool(self._spool.pending())
            self._spool.close()
        if self._folder is not None:
            if not keep:
                self._folder.discard()
            self._folder.release()

    async def _fence(self, why: str) -> None:
        """Not the owner any more: drop the connection now."""
        self._log.error("session.fenced", why=why)
        self._outbox.pause()
        if self._client is not None:
            await self._client.close()
        cut_off = self._keeper is not None and not self._keeper.held
        self._stand_down(cut_off=cut_off)
        self._end(SessionEnded(how="fenced", reason=why, cut_off=cut_off))

    def _stand_down(self, *, cut_off: bool) -> None:
        """Not connected any more: there is nothing left to kill the process for, unless it is stuck
        in calls to a PostgreSQL that it does not reach while everything it has is on disk."""
        if self._dead_man is None or self.may_connect:
            return
        if cut_off and self._on_disk():
            self._dead_man.arm(time.monotonic() + _CUT_OFF)
        else:
            self._dead_man.disarm()

    def _on_disk(self) -> bool:
        """Whether nothing that was received is in this process's memory alone."""
        return self._spool is None or self._spool.survives

    # -- events from WhatsApp -----------------------------------------------------------------

    async def _on_event(self, event: WhatsAppEvent) -> None:
        if isinstance(event, _RECORDED):
            try:
                await self._record(event)
            except NotOwner as error:
                await self._fence(error.detail)
                raise
            return
        if self._ended.done():
            return
        self._report_state(event)
        try:
            match event:
                case QrShown():
                    lifetime = _QR_NEXT if self._qr_seen else _QR_FIRST
                    self._qr_seen += 1
                    self._qr_shown = True
                    await self._stores.cache.qr_put(self.record.id, event.text, lifetime)
                case Paired():
                    self.me = event.me
                    if self._recorder is not None:
                        await self._recorder.while_away(self._fill_outbox)
                    await self._clear_qr()
                    self._touch_store()
                case Renamed():
                    self._rename(event.me)
        except NotOwner as error:
            await self._fence(error.detail)
            return
        except Unavailable as error:
            # A cache that is away must not stop the status from moving on.
            self._log.warning("session.event_store_away", error=error.detail)
        following = step(
            self.status, event, contested=isinstance(event, Replaced) and self._contested()
        )
        if following is not None:
            await self._take_step(following)

    def _rename(self, me: Me) -> None:
        self.me = me

        async def write() -> None:
            await self._stores.sessions.set_status(
                self.record.id, self.epoch, self.status, reason=self.reason, me=me
            )

        self._unreported.append(write)
        self._behind.set()

    def _report_state(self, event: WhatsAppEvent) -> None:
        state = state_after(event)
        if state is None or state == self._state:
            return
        self._state = state

        async def write() -> None:
            await self._stores.events.append(
                self.record.id, "state.change", {"state": state}, epoch=self.epoch
            )

        self._unreported.append(write)
        self._behind.set()

    async def _clear_qr(self) -> None:
        if self._qr_shown:
            await self._stores.cache.qr_clear(self.record.id)

    async def _record(self, event: WhatsAppEvent) -> None:
        """Raises `NotOwner`; waits while PostgreSQL is away."""
        recorder = self._recorder
        assert recorder is not None  # noqa: S101 - made before the first client
        match event:
            case Received():
                await recorder.received(event)
                METER.count("messages", "in")
                if self._pacing is not None:
                    self._outbox.look_again(event.message.chat)
                self._touch_store()
                self._attachments.arrived(event.message, self._client)
            case ReceiptSeen(kind="retry"):
                await recorder.while_away(lambda: self._send_again(event.message_ids))
            case ReceiptSeen():
                await recorder.receipt(event)
            case Undecryptable():
                await recorder.undecryptable(event)
            case Happened():
                await recorder.happened(event)
            case HistoryArrived():
                await recorder.history(event)
                self._touch_store()
            case LabelChanged():
                await recorder.label(event)
            case ChatLabeled():
                await recorder.chat_labeled(event)
            case ChatArchived():
                await recorder.archived(event)
            case Unprocessed():
                await recorder.set_aside(event)

    async def _send_again(self, message_ids: Sequence[str]) -> None:
        """A device could not decrypt these. The library answers for what it sent lately itself; it
        keeps that in memory only, so for what a predecessor sent the outbox does, under the same
        id: those who have the message already know it by that."""
        for message_id in message_ids:
            if message_id in self._sent_here or self._sent_again[message_id] >= _MAX_RETRIES:
                continue
            self._sent_again[message_id] += 1
            row = await self._stores.outbox.get(self.record.id, message_id)
            if row is None or row.state in (OutboxState.ACCEPTED, OutboxState.FAILED):
                continue
            if row.account not in ("", self._own_jid()):
                continue
            self._log.info("session.sends_again", message_id=message_id)
            self._outbox.add(
                OutboxEntry(
                    seq=row.seq, message_id=row.message_id, chat=row.chat, content=row.content
                ),
                again=True,
            )

    async def _take_step(self, following: Step) -> None:
        if following.status is SessionStatus.WORKING:
            self._attempt = 0 if self._attempt <= 1 else 1
        if following.unlinked:
            self.me = None
        changed = (following.status, following.reason) != (self.status, self.reason)
        if following.pause is not None:
            self._not_before = time.monotonic() + following.pause
        if changed or following.status is SessionStatus.WORKING:
            await self._change_status(following.status, following.reason)
        if self._ended.done():
            return
        if following.unlinked and self._vault is not None:
            try:
                await self._vault.forget()
            except NotOwner as error:
                await self._fence(error.detail)
                return
            except GatewayError as error:
                # The next start finds it unlinked again.
                self._log.warning("session.device_not_forgotten", error=error.detail)
        if following.status is SessionStatus.WORKING:
            self._outbox.resume()
            self._learning = asyncio.create_task(self._learn_people(), name="people")
        else:
            self._outbox.pause()
        if following.ends:
            self._end(SessionEnded(how="failed", reason=following.reason))

    def _contested(self) -> bool:
        """Shortly after a takeover, twice: a former owner may have been connected till then."""
        if time.monotonic() - self._took_over_at > _CONTESTED_SECONDS:
            return False
        self._contests += 1
        return self._contests <= _CONTESTS

    async def _learn_people(self) -> None:
        """Who is who, as the library knows it: not every way it learns that shows in an event."""
        client, recorder = self._client, self._recorder
        if client is None or recorder is None:
            return
        try:
            pairs = await client.request("lids.all", {})
            await recorder.paired([(lid, phone) for lid, phone in pairs])
        except GatewayError as error:
            # The next connection tries again; a lost ownership shows elsewhere as well.
            self._log.warning("session.people_not_learned", error=error.detail)

    async def _change_status(
        self, status: SessionStatus, reason: str, *, logged_out: bool = False
    ) -> None:
        """From now on it is so; stored and told as soon as PostgreSQL is there, in order."""
        self.status, self.reason = status, reason
        async with self._changed:
            self._changed.notify_all()
        self._log.info("session.status", status=status.value, reason=reason)
        me = self.me

        async def write() -> None:
            # STARTING in place of STOPPED, when somebody asked for a start meanwhile.
            stored = await self._stores.sessions.set_status(
                self.record.id, self.epoch, status, reason=reason, me=me, logged_out=logged_out
            )
            if self.status is status:
                self.status = stored
            if self._told == (stored, reason):
                return
            self._told = stored, reason
            await self._stores.events.append(
                self.record.id,
                "session.status",
                {"status": stored.value, "reason": reason},
                epoch=self.epoch,
            )

        self._unreported.append(write)
        try:
            await self._report()
        except NotOwner as error:
            await self._fence(error.detail)
        except GatewayError as error:
            self._log.warning("session.status_not_stored", error=error.detail)
            self._behind.set()

    async def _report(self) -> None:
        """Store what changed, in order. Raises `NotOwner`, `Unavailable`: the rest stays."""
        async with self._reporting:
            while self._unreported:
                write = self._unreported[0]
                try:
                    await write()
                except Unstorable as error:
                    self._log.error("session.report_refused", error=error.detail)
                self._unreported.popleft()

    async def _keep_reported(self) -> None:
        """What could not be stored at once is stored as soon as that is possible."""
        while True:
            await self._behind.wait()
            self._behind.clear()
            try:
                await self._report()
            except NotOwner as error:
                await self._fence(error.detail)
                return
            except GatewayError:
                await asyncio.sleep(_REPORT_AGAIN)
                self._behind.set()

    async def _watch_disk(self) -> None:
        """Let go while there is still room to do it cleanly: with a full disk the library can store
        no key, and would have to refuse what arrives. One that is full already is left at once: a
        few refusals, and the library asks for that message no more (whatsmeow retry.go)."""
        while not self._disk_refused.is_set():
            if await self._disk.seen(within=_LOOK_AT_DISK / 2):
                break
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._disk_refused.wait(), _LOOK_AT_DISK)
        self._log.error("session.disk_full", folder=str(self._settings.data_dir))
        self._end(SessionEnded(how="stopped", reason=DISK_FULL, disk_full=True))

    async def _watch_connection(self) -> None:
        """A connection that does not come up is made anew, with patience that grows."""
        tries = 0
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self.status is SessionStatus.STARTING)
            if self._not_before <= time.monotonic():
                limit = self._settings.whatsapp.connect_timeout_seconds
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(limit), self._changed:
                        await self._changed.wait_for(
                            lambda: self.status is not SessionStatus.STARTING
                        )
                    tries = 0
                    continue
            # WhatsApp may not want it before: this connection will not come up.
            paused = max(0.0, self._not_before - time.monotonic())
            await asyncio.sleep(paused)
            self._log.warning("session.reconnect", tries=tries, reason=self.reason)
            if self._client is not None:
                await self._client.close()
            if self.may_connect:
                # Another client beside it would be a second connection: the next process's turn.
                self._end(SessionEnded(how="stopped", reason="a connect could not be ended"))
                return
            await self._drain(_DRAIN)
            if not paused:
                await asyncio.sleep(_RECONNECT[min(tries, len(_RECONNECT) - 1)])
                tries += 1
            await self._connect()

    # -- calls from the cluster ---------------------------------------------------------------

    async def send(
        self,
        *,
        chat: str,
        content: dict[str, Any],
        message_id: str | None,
        idempotency_key: str | None,
        wait: float,
    ) -> SentMessage:
        """Accept a message durably, then wait up to `wait` seconds for WhatsApp to take it."""
        target = parse_chat_id(chat)
        await self._require_working()
        assert self._client is not None  # noqa: S101 - WORKING implies a client
        chosen = message_id or self._client.new_message_id()
        row, replayed = await self._stores.outbox.accept(
            self.record.id,
            epoch=self.epoch,
            message_id=chosen,
            chat=target.jid,
            sender=self._own_jid(),
            kind=str(content["kind"]),
            content=content,
            body=str(content.get("text") or content.get("caption") or ""),
            idempotency_key=idempotency_key,
            trace=carried().get("traceparent", ""),
        )
        # In the caller's context: the line that joins its request with this process.
        self._log.info("session.accepted", message_id=row.message_id, replayed=replayed)
        state, timestamp, place = row.state, row.accepted_at, None
        if state is OutboxState.FAILED:
            # What it was answered the first time: this key or id has no other outcome.
            if row.failure is None or isinstance(row.failure, Unavailable):
                # Of former versions; or it was given up, and is not tried again.
                raise WhatsAppRefused(row.error or "WhatsApp refused the message")
            raise row.failure
        if state is OutboxState.ACCEPTED:
            done = self._outbox.add(
                OutboxEntry(
                    seq=row.seq,
                    message_id=row.message_id,
                    chat=row.chat,
                    content=row.content,
                    trace=row.trace,
                    accepted_at=row.accepted_at.timestamp(),
                )
            )
            place = await self._place(row.seq, row.chat)
            if place is not None and place.seconds > wait:
                # It will not be its turn while the caller waits.
                wait = 0.0
            with contextlib.suppress(TimeoutError):
                outcome: SendOutcome = await asyncio.wait_for(asyncio.shield(done), wait)
                if outcome.error is not None:
                    raise outcome.error
                state, place = OutboxState.SENT, None
                timestamp = outcome.sent_at or timestamp
        return SentMessage(
            message_id=row.message_id,
            chat=row.chat,
            state=state,
            timestamp=timestamp,
            replayed=replayed,
            content=row.content,
            place=place,
        )

    async def _place(self, seq: int, chat: str) -> Place | None:
        """Where an accepted message stands; None without limits, or while nobody can tell."""
        if self._pacing is None:
            return None
        try:
            return await self._pacing.place(chat, self._outbox.ahead_of(seq))
        except Unavailable:
            # It is accepted: that must be the answer.
            return None

    async def request_code(self, number: str) -> str:
        if self.status is not SessionStatus.SCAN_QR_CODE or self._client is None:
            raise self._not_as_expected(SessionStatus.SCAN_QR_CODE)
        return await self._client.pair_phone(number)

    async def logout(self) -> None:
        """Unlink the device at WhatsApp (when it is connected), forget its store, and stop. A
        linked one that is connecting is waited for."""
        await self._patiently()
        if self._client is not None and self.status is SessionStatus.WORKING:
            await self._client.logout()
        if self._vault is not None:
            await self._vault.forget()
        self.me = None
        self._end(SessionEnded(how="logged_out"))

    async def check_numbers(self, numbers: list[str]) -> list[dict[str, Any]]:
        await self._require_working()
        assert self._client is not None  # noqa: S101
        return [
            {"number": n.number, "exists": n.exists, "jid": n.jid}
            for n in await self._client.check_numbers(numbers)
        ]

    async def request(self, verb: str, arguments: dict[str, Any]) -> Any:
        """Anything else that WhatsApp can do, by name: see `actors.whatsapp.verbs`."""
        await self._require_working()
        assert self._client is not None  # noqa: S101
        answer = await self._client.request(verb, arguments)
        self._touch_store()
        return answer

    def describe(self) -> dict[str, Any]:
        return {
            "session": self.record.name,
            "status": self.status.value,
            "reason": self.reason,
            "epoch": self.epoch,
            "node": self._node,
            "outbox": len(self._outbox),
            "lease_held": self._keeper.held if self._keeper else False,
        }

    async def _require_working(self) -> None:
        if self._ended.done():
            raise NotOwner("the session is moving to another owner", retry_after=1)
        await self._patiently()
        if self.status is SessionStatus.STARTING and self.me is not None:
            raise Unavailable("the session is connecting to WhatsApp", retry_after=2)
        if self.status is not SessionStatus.WORKING:
            raise self._not_as_expected(SessionStatus.WORKING)
        if self._keeper is None or not self._keeper.held:
            raise NotOwner("the session's lease is not certain at the moment", retry_after=1)

    async def _patiently(self) -> None:
        """A takeover or a short break of the connection is not the caller's business."""
        if self.status is SessionStatus.STARTING and self.me is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE), self._changed:
                    await self._changed.wait_for(lambda: self.status is not SessionStatus.STARTING)

    def _not_as_expected(self, *expected: SessionStatus) -> GatewayError:
        if self._ended.done():
            return Conflict("the session is ending")
        return SessionNotWorking(
            session=self.record.name,
            status=self.status.value,
            expected=[e.value for e in expected],
        )

    # -- outbox: the wire and the record --------------------------------------------------------

    async def _send_entry(self, entry: OutboxEntry) -> datetime:
        if self._client is None or self._keeper is None or not self._keeper.held:
            raise Unavailable("not connected", retry_after=1)
        if self._pacing is not None and not entry.attempts:
            await self._type(entry, self._pacing.typing(entry.chat, entry.content))
        with span(
            "whatsapp.send",
            {"traceparent": entry.trace} if entry.trace else None,
            kind="client",
            session=self.record.name,
            epoch=self.epoch,
            message_id=entry.message_id,
            attempt=entry.attempts + 1,
        ):
            sent_at = await self._client.send(
                chat=entry.chat, content=entry.content, message_id=entry.message_id
            )
        self._sent_here.append(entry.message_id)
        return sent_at

    async def _type(self, entry: OutboxEntry, seconds: float) -> None:
        """Show as typing for so long. The message itself ends it at the receiver's."""
        if seconds <= 0 or self._client is None:
            return
        try:
            await self._client.request("chatting.typing", {"chat": entry.chat, "typing": True})
        except GatewayError as error:
            self._log.debug("session.typing_not_shown", error=error.detail)
        await asyncio.sleep(seconds)
        if self._client is None or self._keeper is None or not self._keeper.held:
            raise Unavailable("not connected any more", retry_after=1)

    async def _mark_sent(self, entry: OutboxEntry, sent_at: datetime) -> None:
        try:
            await self._stores.outbox.mark_sent(
                self.record.id,
                self.epoch,
                entry.message_id,
                sent_at,
                told=not self._ignored.ignores(entry.chat),
            )
        except NotOwner as error:
            await self._fence(error.detail)
            raise
        METER.count("messages", "out")
        if entry.accepted_at:
            METER.observe("send_latency", max(0.0, time.time() - entry.accepted_at))
        self._touch_store(entry.trace)

    async def _mark_failed(self, entry: OutboxEntry, error: GatewayError) -> None:
        try:
            await self._stores.outbox.mark_failed(
                self.record.id,
                self.epoch,
                entry.message_id,
                error,
                entry.attempts,
                told=not self._ignored.ignores(entry.chat),
            )
        except NotOwner as lost:
            await self._fence(lost.detail)
            raise
        METER.count("messages", "failed")

    def _touch_store(self, trace: str = "") -> None:
        if self._vault is not None:
            self._vault.changed(trace)

    def _own_jid(self) -> str:
        return (self.me.id.replace("@c.us", "@s.whatsapp.net")) if self.me else ""
