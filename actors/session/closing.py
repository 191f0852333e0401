"""How a session lets go: connection first, then everything else."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from actors.session.dead_man import Switch
from actors.session.eager_downloads import EagerDownloads
from actors.session.outbox import Outbox
from actors.session.owner import Owner, SessionEnded
from actors.session.reach import WhatsAppReach
from cluster.domain.errors import GatewayError
from cluster.domain.session import DesiredState, SessionStatus
from cluster.telemetry.metrics.meter import METER

__all__ = ["Closing", "HandOver"]

#: Gives entries of a spool to whoever owns the session now; True when it took them.
HandOver = Callable[[list[bytes]], Awaitable[bool]]

#: Seconds that a send under way has to end before a clean stop drops the connection.
_SETTLE = 5.0
#: Seconds that what arrived before a disconnect may take to be recorded by an owner that is fenced
#: and has it on disk.
_DRAIN_FENCED = 1.0
#: Seconds that a notice to its successor may take.
_NOTICE_SECONDS = 2.0
#: Seconds that a process which does not reach PostgreSQL has to end after it fenced itself.
_CUT_OFF = 12.0


class Closing:
    """The ways in which an ownership ends. Whatever fails here, no stanza follows."""

    def __init__(
        self,
        owner: Owner,
        *,
        outbox: Outbox,
        reach: WhatsAppReach,
        attachments: EagerDownloads,
        dead_man: Switch | None,
        hand_over: HandOver | None,
    ) -> None:
        """See `Session`."""
        self._owner = owner
        self._outbox = outbox
        self._reach = reach
        self._attachments = attachments
        self._dead_man = dead_man
        self._hand_over = hand_over

    @property
    def all_on_disk(self) -> bool:
        """Whether nothing that was received is in this process's memory alone."""
        device = self._owner.device
        return device is None or device.spool.survives

    async def fence(self, why: str) -> None:
        """Not the owner any more: drop the connection now."""
        owner = self._owner
        owner.log.error("session.fenced", why=why)
        self._outbox.pause()
        await self._disconnect()
        cut_off = owner.claimed is not None and not owner.claimed.keeper.held
        self._disarm(cut_off=cut_off)
        owner.end(SessionEnded(how="fenced", reason=why, cut_off=cut_off))
        if not cut_off and not owner.may_connect:
            # Its successor need not wait for the rest of the lease.
            with contextlib.suppress(GatewayError, TimeoutError):
                async with asyncio.timeout(_NOTICE_SECONDS):
                    await owner.stores.ownership.left(owner.id, owner.epoch)

    async def release(self, ended: SessionEnded) -> None:
        """The lease of a client that may still connect is left to the end of its process."""
        owner = self._owner
        self._outbox.pause()
        if ended.how == "stopped" and not ended.disk_full:
            # What is under way to nowhere is the successor's, under the same id.
            await self._outbox.settle(0.0 if self._reach.unreachable.done() else _SETTLE)
        await self._disconnect()
        self._disarm(cut_off=ended.cut_off)
        await self._attachments.stop()
        await self._outbox.stop()
        self._reach.close()
        if ended.how == "fenced":
            await self._hand_over_received(ended)
            # The newest store there is, unless somebody else owned the session since.
            self._release_disk(keep=True)
            return
        clean = False
        try:
            await owner.drain()
            if owner.device is not None:
                clean = await owner.device.device_store.close()
            status = await self._last_status(ended)
            await owner.change_status(
                status,
                "" if status is SessionStatus.STOPPED else ended.reason,
                logged_out=ended.how == "logged_out",
            )
            await owner.report()
            await self._stop_renewing()
            if not owner.may_connect:
                await owner.stores.ownership.release(owner.id, owner.epoch, clean=clean)
            await owner.clear_qr()
        except GatewayError as error:
            # The lease runs out by itself; the successor then treats the store as stale.
            owner.log.warning("session.release_failed", error=error.detail)
        finally:
            await self._stop_renewing()
            self._release_disk(keep=not clean)
        owner.log.info("session.ended", how=ended.how, reason=ended.reason, clean=clean)

    async def discard(self) -> None:
        """After an error, or fenced, in a process that goes on: nothing of it stays."""
        self._outbox.pause()
        try:
            await self._disconnect()
            if self._dead_man is not None and not self._owner.may_connect:
                self._dead_man.disarm()
            # The next owner in this process arms it: what is under way here must not touch it.
            self._dead_man = None
            await self._stop_renewing()
            await self._attachments.stop()
            await self._outbox.stop()
            self._reach.close()
            await self._owner.drain()
            if self._owner.device is not None:
                await self._owner.device.device_store.release()
        finally:
            # The node's agent, and the next owner here, may look into it.
            self._release_disk(keep=True)

    async def _disconnect(self) -> None:
        if self._owner.connected is not None:
            await self._owner.connected.client.close()

    async def _stop_renewing(self) -> None:
        if self._owner.claimed is not None:
            await self._owner.claimed.keeper.stop()

    async def _last_status(self, ended: SessionEnded) -> SessionStatus:
        """A handover is not the end: the session starts again elsewhere."""
        if ended.how == "logged_out":
            return SessionStatus.STOPPED
        if ended.how != "stopped":
            return SessionStatus.FAILED
        record = await self._owner.stores.sessions.get_by_id(self._owner.id)
        wanted = record.desired is DesiredState.RUNNING
        return SessionStatus.STARTING if wanted else SessionStatus.STOPPED

    async def _hand_over_received(self, ended: SessionEnded) -> None:
        """Fenced: commit what was received if the epoch is still the newest, else hand it over.
        What is on disk, the next process on this node or its agent sees to."""
        owner = self._owner
        if owner.device is None:
            return
        spool = owner.device.spool
        survives = spool.survives
        await owner.drain(_DRAIN_FENCED if survives else owner.settings.spool.drain_seconds)
        left = spool.pending()
        newer = not (survives and ended.cut_off)
        if (
            left
            and newer
            and self._hand_over is not None
            and await self._hand_over(list(left.values()))
        ):
            for ticket in left:
                spool.done(ticket)
            left = {}
        owner.log.info("session.handed_over", left_in_spool=len(left))

    def _release_disk(self, *, keep: bool) -> None:
        device = self._owner.device
        METER.gauge("spool_depth", str(self._owner.id), None)
        if device is None:
            return
        left = device.spool.close()
        if not (keep or left):
            device.folder.discard()
        device.folder.release()

    def _disarm(self, *, cut_off: bool) -> None:
        """Not connected any more: there is nothing left to kill the process for, unless it is stuck
        in calls to a PostgreSQL that it does not reach while everything it has is on disk."""
        if self._dead_man is None or self._owner.may_connect:
            return
        if cut_off and self.all_on_disk:
            self._dead_man.arm(time.monotonic() + _CUT_OFF)
        else:
            self._dead_man.disarm()
