"""One session under one epoch: claim, restore, connect, serve, let go. Plain asyncio, no Ray."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from actors.session.calls import Calls
from actors.session.closing import Closing, HandOver
from actors.session.dead_man import Switch
from actors.session.disk import FullDisk
from actors.session.eager_downloads import EagerDownloads
from actors.session.lease import LeaseKeeper
from actors.session.opening import Opening
from actors.session.owner import Owner, SessionEnded
from actors.session.serving import ClientFactory, Serving
from cluster.domain.errors import NotOwner
from cluster.domain.session import SessionRecord, SessionStatus
from cluster.settings import Settings
from cluster.stores import Stores

__all__ = ["DISK_FULL", "Session"]

#: The reason of a session that waits for room.
DISK_FULL = "the disk of the session's node is full"

#: Seconds between looks whether it stays connected without PostgreSQL, and requests to be moved
#: then.
_LEASE_POLL, _ASK_TO_MOVE = 0.5, 3.0
#: Seconds that a process which does not reach PostgreSQL has to let go of its parts.
_STUCK = 2.0


class Session:
    """One session, owned by this process under one epoch.

    `run()` lives as long as the ownership: it claims the session, waits out the predecessor,
    restores the device store, connects, serves, and returns how it ended. `calls`, and everything
    else, is for others while it runs.
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
        owned_before: int = 0,
        disk: FullDisk | None = None,
        move_away: Callable[[bool, int], Awaitable[bool]] | None = None,
        whatsapp_unreachable: Callable[[], None] | None = None,
    ) -> None:
        """`dead_man`: the switch of this process, if the session may be killed with it;
        `hand_over`: the way to a newer owner; `owned_before`: its epoch in this process, which has
        closed that connection; `disk`: looked at for all sessions of the process; `move_away`: has
        it run on another node, when PostgreSQL is reached there; `whatsapp_unreachable`: called
        when WhatsApp is not reached."""
        self._owner = owner = Owner(
            record=record, stores=stores, settings=settings, node=node, fence=self._fence
        )
        self._client_factory = client_factory
        self._move_away = move_away
        self._disk = disk or FullDisk(settings.data_dir, settings.spool.min_free_bytes)
        self._loop = asyncio.get_running_loop()
        #: The spool could not be written.
        #: After `run`: nothing of the session is under way any more, and no connection follows.
        self.released = False
        self._attachments = EagerDownloads(
            stores=stores, settings=settings.media, session_id=record.id
        )
        self._opening = Opening(
            owner,
            dead_man=dead_man,
            owned_before=owned_before,
            on_disk_refused=self._on_disk_refused,
        )
        self.calls = Calls(owner, whatsapp_unreachable)
        self._serving: Serving | None = None
        self._closing = Closing(
            owner,
            outbox=self.calls.outbox,
            reach=self.calls.reach,
            attachments=self._attachments,
            dead_man=dead_man,
            hand_over=hand_over,
        )

    @property
    def record(self) -> SessionRecord:
        return self._owner.record

    @property
    def epoch(self) -> int:
        """0 until it was claimed."""
        return self._owner.epoch

    @property
    def status(self) -> SessionStatus:
        return self._owner.status

    @property
    def reason(self) -> str:
        return self._owner.reason

    @property
    def may_connect(self) -> bool:
        """See `Owner.may_connect`."""
        return self._owner.may_connect

    async def run(self) -> SessionEnded:
        """Own the session until it is stopped, fails or is fenced."""
        owner = self._owner
        watchdogs = [owner.supervised(owner.keep_reported(), "reports")]
        try:
            claimed = await self._opening.claim()
            device = await self._opening.device(claimed)
            await self.calls.open()
            watchdogs.append(owner.supervised(self.calls.keep_filled(), "outbox filling"))
            if device is not None:
                self._serving = Serving(
                    owner,
                    claimed=claimed,
                    device=device,
                    calls=self.calls,
                    attachments=self._attachments,
                    client_factory=self._client_factory,
                )
                await self._serving.connect()
                watchdogs.append(owner.supervised(self._serving.watch(), "watchdog"))
            watchdogs += [
                owner.supervised(self._watch_disk(), "disk watch"),
                owner.supervised(self._watch_lease(claimed.keeper), "lease watch"),
            ]
            ended = await owner.ended
        except NotOwner as error:
            ended = SessionEnded(how="fenced", reason=error.detail)
        finally:
            for watchdog in watchdogs:
                watchdog.cancel()
        releasing = asyncio.ensure_future(self._closing.release(ended))
        # Calls that hang on a cut connection are not waited for when everything is on disk.
        hopeless = ended.cut_off and self._closing.all_on_disk
        await asyncio.wait({releasing}, timeout=_STUCK if hopeless else None)
        if releasing.done():
            releasing.result()
            self.released = not self.may_connect
        if owner.broken is not None:
            raise owner.broken
        return ended

    def stop(self, reason: str = "") -> None:
        """Ask for a clean end; `run` returns when it is done."""
        self._owner.end(SessionEnded(how="stopped", reason=reason))

    async def discard(self) -> None:
        """After `run` raised or was fenced, in a process that goes on: nothing of it stays."""
        await self._closing.discard()

    @property
    def closed(self) -> int:
        """Its epoch, once `run` is over and no connection can follow under it; otherwise 0."""
        return 0 if self.may_connect else self._owner.epoch

    async def adopt(self, entries: list[bytes]) -> None:
        """See `Serving.adopt`."""
        if self._serving is None:
            raise NotOwner("the session has no owner at the moment", retry_after=1)
        await self._serving.adopt(entries)

    def describe(self) -> dict[str, Any]:
        owner = self._owner
        return {
            "session": owner.record.name,
            "status": owner.status.value,
            "reason": owner.reason,
            "epoch": owner.epoch,
            "node": owner.node,
            "outbox": len(self.calls.outbox),
            "lease_held": owner.claimed.keeper.held if owner.claimed else False,
        }

    async def _fence(self, why: str) -> None:
        await self._closing.fence(why)

    def _on_disk_refused(self) -> None:
        self._loop.call_soon_threadsafe(self._leave_full_disk)

    async def _watch_lease(self, keeper: LeaseKeeper) -> None:
        """While it stays connected without PostgreSQL: ask whether it is the only one who does not
        reach it. Then it is moved."""
        owner, stayed = self._owner, False
        while True:
            if not stayed:
                await keeper.unproven.wait()
            await asyncio.sleep(_LEASE_POLL)
            stays = keeper.staying
            if stays != stayed:
                stayed = stays
                owner.log.warning("session.stays_connected", without_postgresql=stays)
            if stays and self._move_away is not None:
                owner.moves = owner.moves or await self._move_away(True, 0)
                await asyncio.sleep(_ASK_TO_MOVE)

    async def _watch_disk(self) -> None:
        """Let go while there is still room to do it cleanly: with a full disk the library can store
        no key, and would have to refuse what arrives. One that is full already is left at once: a
        few refusals, and the library asks for that message no more (whatsmeow retry.go)."""
        await self._disk.becomes_full()
        self._leave_full_disk()

    def _leave_full_disk(self) -> None:
        owner = self._owner
        if not owner.ended.done():
            owner.log.error("session.disk_full", folder=str(owner.settings.data_dir))
        owner.end(SessionEnded(how="stopped", reason=DISK_FULL, disk_full=True))
