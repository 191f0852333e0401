"""What the parts of a session share: whose it is, its status, what it holds, whether it ends."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from actors.session.device_store import DeviceFolder
from actors.session.device_store_manager import DeviceStoreManager
from actors.session.lease import LeaseKeeper
from actors.session.recorder import Recorder
from actors.session.spool import Spool
from actors.whatsapp.port import WhatsAppClient
from cluster.domain.errors import GatewayError, NotOwner, Unstorable
from cluster.domain.session import Me, SessionRecord, SessionStatus
from cluster.settings import Settings
from cluster.stores import Stores
from cluster.stores.ownership import Claim, Standing
from cluster.telemetry.metrics.meter import METER

__all__ = ["Claimed", "Connected", "Device", "Owner", "SessionBroken", "SessionEnded"]

log = structlog.get_logger(__name__)

#: All of this process.
_here: weakref.WeakSet[Owner] = weakref.WeakSet()

#: Seconds that what arrived before a disconnect may take to be recorded.
_DRAIN = 8.0
#: Changes of the status that are kept while they cannot be stored, and seconds between tries.
_UNREPORTED, _REPORT_AGAIN = 20, 0.5


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Claimed:
    """What an owner has from its claim on."""

    claim: Claim
    keeper: LeaseKeeper
    recorder: Recorder
    #: When it took over from an owner that did not let go, monotonic seconds; else minus infinity.
    took_over_at: float
    #: When the claim was answered, and when no predecessor can be connected any more; monotonic
    #: seconds.
    answered_at: float
    free_at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """The device store's folder on this node, and what belongs to it."""

    folder: DeviceFolder
    device_store: DeviceStoreManager
    spool: Spool


@dataclass(frozen=True, kw_only=True, slots=True)
class Connected:
    """What a call needs: made with each client, and complete."""

    client: WhatsAppClient
    keeper: LeaseKeeper
    device_store: DeviceStoreManager


class Owner:
    """One session under one epoch, as its parts see it."""

    def __init__(
        self,
        *,
        record: SessionRecord,
        stores: Stores,
        settings: Settings,
        node: str,
        fence: Callable[[str], Awaitable[None]],
    ) -> None:
        """`fence`: what to do when the epoch turns out not to be the newest."""
        self.record = record
        self.stores = stores
        self.settings = settings
        self.node = node
        self.fence = fence
        self.epoch = 0
        self.status = SessionStatus.STARTING
        self.reason = ""
        self.me: Me | None = record.me
        self.log = log.bind(session=record.name, session_id=record.id, node=node)
        #: What it has by now; not all of it yet while it is opened.
        self.claimed: Claimed | None = None
        self.device: Device | None = None
        self.connected: Connected | None = None
        self.changed = asyncio.Condition()
        #: Number of the newest message that was accepted for the session, as far as is known.
        self.newest_accepted = 0
        self.accepted = asyncio.Event()
        self.ended: asyncio.Future[SessionEnded] = asyncio.get_running_loop().create_future()
        #: Why a part of it ended unexpectedly.
        self.broken: SessionBroken | None = None
        #: It is about to be moved to where PostgreSQL is reached.
        self.moves = False
        self._qr_shown = False
        #: As `state.change` emitted it last.
        self._state = ""
        #: Status and reason of the last `session.status`.
        self._emitted: tuple[SessionStatus, str] | None = None
        #: Changes of the status and the state that are not stored yet, oldest first.
        self._unreported: deque[Callable[[], Awaitable[None]]] = deque(maxlen=_UNREPORTED)
        self._reporting = asyncio.Lock()
        self._behind = asyncio.Event()
        _here.add(self)

    @property
    def id(self) -> int:
        return self.record.id

    @property
    def own_jid(self) -> str:
        """The linked account; empty without one."""
        return self.me.account if self.me else ""

    @property
    def may_connect(self) -> bool:
        """After the client was closed: only the end of the process is sure to prevent a connection
        that follows."""
        return self.connected is not None and not self.connected.client.gone

    async def renew(self, grace: timedelta) -> Standing:
        """Lengthen the lease, by `grace` beyond its usual length; what was accepted meanwhile comes
        to light with that. Raises `Unavailable`."""
        lease = self.settings.lease
        renewed = await self.stores.ownership.renew(self.id, self.epoch, lease.ttl, grace)
        if renewed is None:
            return Standing.LOST
        if renewed.accepted > self.newest_accepted:
            self.newest_accepted = renewed.accepted
        self.accepted.set()
        return Standing.ALONE if renewed.alone else Standing.OWNER

    @property
    def may_stay(self) -> bool:
        """Connected without PostgreSQL: while all it receives is on the disk."""
        return self.device is not None and self.device.spool.survives and not self.moves

    def others_here(self) -> bool:
        """Whether another owner of the session, in this process, may still be connected."""
        return any(
            other.id == self.id and (not other.ended.done() or other.may_connect)
            for other in _here
            if other is not self
        )

    async def drain(self, seconds: float = _DRAIN) -> None:
        """After a disconnect: everything that arrived is recorded, or stays in the spool."""
        if self.connected is None:
            return
        try:
            async with asyncio.timeout(seconds):
                await self.connected.client.drained()
        except TimeoutError:
            self.log.warning("session.not_drained", seconds=seconds)

    # -- its end ----------------------------------------------------------------------------------

    def end(self, ended: SessionEnded) -> None:
        """Let go from now on; the first reason counts."""
        if not self.ended.done():
            self.ended.set_result(ended)

    def broke(self, reason: str) -> None:
        """A part of it ended that nothing else makes up for: it lets go, and starts anew."""
        if self.ended.done():
            return
        self.log.error("session.broken", reason=reason)
        METER.count("sessions_broken")
        self.broken = SessionBroken(reason)
        self.end(SessionEnded(how="stopped", reason=reason))

    def supervised(self, work: Coroutine[Any, Any, None], part: str) -> asyncio.Task[None]:
        """A part of the session that lives as long as it does: none ends unnoticed."""
        task = asyncio.create_task(work, name=part)
        self.supervise(task, part)
        return task

    def supervise(self, task: asyncio.Task[None], part: str) -> None:
        """The same for a task that runs already."""

        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and not self.ended.done():
                self.broke(f"its {part} ended: {task.exception()!r}")

        task.add_done_callback(ended)

    # -- its status -------------------------------------------------------------------------------

    async def change_status(
        self, status: SessionStatus, reason: str, *, logged_out: bool = False
    ) -> None:
        """From now on it is so; stored and emitted as soon as PostgreSQL is there, in order."""
        self.status, self.reason = status, reason
        async with self.changed:
            self.changed.notify_all()
        self.log.info("session.status", status=status.value, reason=reason)
        me = self.me

        async def write() -> None:
            # STARTING in place of STOPPED, when somebody asked for a start meanwhile.
            stored = await self.stores.sessions.set_status(
                self.id, self.epoch, status, reason=reason, me=me, logged_out=logged_out
            )
            if self.status is status:
                self.status = stored
            if self._emitted == (stored, reason):
                return
            self._emitted = stored, reason
            await self.stores.events.append(
                self.id,
                "session.status",
                {"status": stored.value, "reason": reason},
                epoch=self.epoch,
            )

        self._unreported.append(write)
        try:
            await self.report()
        except NotOwner as error:
            await self.fence(error.detail)
        except GatewayError as error:
            self.log.warning("session.status_not_stored", error=error.detail)
            self._behind.set()

    def rename(self, me: Me) -> None:
        """The account shows itself under another name."""
        self.me = me

        async def write() -> None:
            await self.stores.sessions.set_status(
                self.id, self.epoch, self.status, reason=self.reason, me=me
            )

        self._later(write)

    def change_state(self, state: str | None) -> None:
        """The connection's state, as WAHA calls it; None: it is as it was."""
        if state is None or state == self._state:
            return
        self._state = state

        async def write() -> None:
            await self.stores.events.append(
                self.id, "state.change", {"state": state}, epoch=self.epoch
            )

        self._later(write)

    async def show_qr(self, text: str, seconds: int) -> None:
        """For callers to show, for so long. Raises `Unavailable`."""
        self._qr_shown = True
        await self.stores.cache.qr_put(self.id, text, seconds)

    async def clear_qr(self) -> None:
        """Raises `Unavailable`."""
        if self._qr_shown:
            await self.stores.cache.qr_clear(self.id)

    async def report(self) -> None:
        """Store what changed, in order. Raises `NotOwner`, `Unavailable`: the rest stays."""
        async with self._reporting:
            while self._unreported:
                write = self._unreported[0]
                try:
                    await write()
                except Unstorable as error:
                    self.log.error("session.report_refused", error=error.detail)
                self._unreported.popleft()

    async def keep_reported(self) -> None:
        """What could not be stored at once is stored as soon as that is possible."""
        while True:
            await self._behind.wait()
            self._behind.clear()
            try:
                await self.report()
            except NotOwner as error:
                await self.fence(error.detail)
                return
            except GatewayError:
                await asyncio.sleep(_REPORT_AGAIN)
                self._behind.set()

    def _later(self, write: Callable[[], Awaitable[None]]) -> None:
        self._unreported.append(write)
        self._behind.set()
