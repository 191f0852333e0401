"""How a session is opened: claim it, wait for who had it, have its device store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta

from actors.process_identity import end, holder_id, is_dead
from actors.session.dead_man import Switch
from actors.session.device_store import DeviceFolder
from actors.session.device_store_manager import DeviceStoreManager
from actors.session.lease import LeaseKeeper
from actors.session.owner import Claimed, Device, Owner
from actors.session.recorder import Recorder
from actors.session.seen_leases import SeenLeases
from actors.session.spool import Spool
from cluster.domain.errors import NotOwner, Unavailable
from cluster.domain.session import SessionRecord, SessionStatus
from cluster.domain.session_config import IgnoreConfig
from cluster.stores.ownership import Claim
from cluster.telemetry.logs import bind_process
from cluster.telemetry.metrics.meter import METER

__all__ = ["Opening"]

#: Seconds between looks whether the predecessor's process is dead; between questions whether it
#: said that it has left.
_POLL_SECONDS, _ASK = 0.05, 0.5
#: Seconds between tries to restore the store while that is not possible.
_RESTORE_AGAIN = (1.0, 2.0, 5.0, 15.0)


class Opening:
    """The steps before a session connects, each once."""

    def __init__(
        self,
        owner: Owner,
        *,
        dead_man: Switch | None,
        owned_before: int,
        on_disk_refused: Callable[[], None],
    ) -> None:
        """See `Session`; `on_disk_refused` is called in whatever thread finds the disk full."""
        self._owner = owner
        self._dead_man = dead_man
        self._owned_before = owned_before
        self._on_disk_refused = on_disk_refused

    async def claim(self) -> Claimed:
        """Become the owner. Raises `SessionNotFound`, `Unavailable`."""
        owner = self._owner
        stores, lease, session_id = owner.stores, owner.settings.lease, owner.id
        claimed_at = time.monotonic()
        claim = await stores.ownership.claim(
            session_id,
            owner.node,
            holder_id(),
            lease.ttl,
            # What is received meanwhile is on this disk alone.
            lease.grace if owner.settings.spool.fsync else timedelta(),
            since=self._owned_before,
        )
        answered_at = time.monotonic()
        free_at = answered_at - self._seen_for(claim) + claim.connect_after.total_seconds()
        owner.epoch = epoch = claim.epoch
        owner.log = owner.log.bind(epoch=epoch)
        bind_process(epoch=epoch)
        lapsed = claim.predecessor in {"expired", "alive"}
        claimed = Claimed(
            claim=claim,
            keeper=LeaseKeeper(
                settings=lease,
                renew=owner.renew,
                on_lost=owner.fence,
                claimed_at=claimed_at,
                dead_man=self._dead_man,
                alone=claim.alone,
                may_stay=lambda: owner.may_stay,
            ),
            recorder=Recorder(
                stores=stores,
                session_id=session_id,
                epoch=epoch,
                ignored=IgnoreConfig.of(owner.record.config),
            ),
            took_over_at=time.monotonic() if lapsed else float("-inf"),
            answered_at=answered_at,
            free_at=free_at,
        )
        owner.claimed = claimed
        owner.supervise(claimed.keeper.start(), "lease keeper")
        await owner.change_status(SessionStatus.STARTING, "")
        owner.log.info("session.claimed", predecessor=claim.predecessor)
        if (how := _taken_over(claim, owner.record)) is not None:
            payload = {
                "how": how,
                "epoch": epoch,
                "node": owner.node,
                # Longest: it is free earlier when the predecessor's process is seen to be dead.
                "connectsAfterMs": int(claim.connect_after / timedelta(milliseconds=1)),
            }
            await claimed.recorder.emit("session.takeover", payload)
        return claimed

    def _seen_for(self, claim: Claim) -> float:
        """Seconds that the predecessor's lease has been seen without a renewal."""
        if claim.connect_after <= timedelta():
            return 0.0
        seen = SeenLeases(self._owner.settings.data_dir, self._owner.node)
        since = seen.since(self._owner.id, claim.previous_version)
        return 0.0 if since is None else max(0.0, time.monotonic() - since)

    async def device(self, claimed: Claimed) -> Device | None:
        """Have the store open, and be free to connect; None: the session ends before."""
        owner = self._owner
        if DeviceFolder.exists(owner.settings.data_dir, owner.id, owner.epoch - 1):
            # The predecessor's own store, which it holds as long as it lives.
            await self._wait_for_predecessor(claimed)
            return await self._open_store(claimed)
        # Its checkpoints are all there will be: the claim has ended its writing.
        waiting = asyncio.create_task(self._wait_for_predecessor(claimed))
        try:
            device = await self._open_store(claimed)
            await waiting
        finally:
            waiting.cancel()
        return device

    async def _wait_for_predecessor(self, claimed: Claimed) -> None:
        """Until its lease has ended, or its process has."""
        owner, claim = self._owner, claimed.claim
        if claim.connect_after <= timedelta():
            return
        left = claimed.free_at - time.monotonic()
        if left > 0 and not self._is_gone(claim):
            owner.log.info("session.waits_for_predecessor", seconds=round(left, 2))
        ask_at = claimed.answered_at
        #: In a lease's time it is fenced, stuck, or alone without PostgreSQL.
        end_at = ask_at + owner.settings.lease.ttl_seconds
        # Ended before it began: there is nothing to wait for.
        while (left := claimed.free_at - time.monotonic()) > 0 and not self._is_gone(claim):
            if (now := time.monotonic()) >= ask_at:
                ask_at = now + _ASK
                if await self._has_left(claim):
                    break
            if now >= end_at:
                end_at = float("inf")
                if claim.previous_stays and claim.previous_was_free and end(claim.previous_holder):
                    owner.log.warning("session.predecessor_ended", holder=claim.previous_holder)
            if (await asyncio.wait([owner.ended], timeout=min(_POLL_SECONDS, left)))[0]:
                return
        try:
            if not await owner.stores.ownership.waited(owner.id, owner.epoch):
                raise NotOwner("a newer epoch owns the session")
        except Unavailable as error:
            # Only the successor waits for longer than it had to.
            owner.log.warning("session.wait_not_emitted", error=error.detail)

    def _is_gone(self, claim: Claim) -> bool:
        """Whether the predecessor is proven to have no connection. One that still waited itself
        says nothing of who was before it."""
        if not claim.previous_was_free:
            return False
        if claim.previous_holder == holder_id():
            return bool(self._owned_before) or not self._owner.others_here()
        one_machine = self._owner.settings.lease.one_machine
        return is_dead(claim.previous_holder, one_machine=one_machine)

    async def _has_left(self, claim: Claim) -> bool:
        """Whether the predecessor, whose process may live on, said that it is not connected."""
        if not claim.previous_was_free or not claim.previous_holder:
            return False
        try:
            return await self._owner.stores.ownership.has_left(
                self._owner.id, self._owner.epoch - 1
            )
        except Unavailable:
            return False

    async def _open_store(self, claimed: Claimed) -> Device | None:
        owner = self._owner
        if owner.ended.done():
            return None
        folder = await asyncio.to_thread(
            DeviceFolder.take, owner.settings.data_dir, owner.id, owner.epoch
        )
        try:
            device = Device(
                folder=folder,
                device_store=DeviceStoreManager(
                    session_id=owner.id,
                    epoch=owner.epoch,
                    folder=folder,
                    stores=owner.stores,
                    settings=owner.settings,
                    on_not_owner=owner.fence,
                ),
                spool=await asyncio.to_thread(self._open_spool, folder),
            )
        except BaseException:
            folder.release()
            raise
        owner.device = device
        METER.gauge("spool_depth", str(owner.id), lambda: float(len(device.spool.pending())))
        tries = 0
        while not owner.ended.done():
            try:
                copying = await device.device_store.open(handed_over=claimed.claim.handed_over)
            except NotOwner:
                raise
            except Unavailable as error:
                # Not the session's fault: it waits here, and says why.
                owner.log.warning("session.not_restored", tries=tries, error=error.detail)
                if owner.reason != error.detail:
                    await owner.change_status(SessionStatus.STARTING, error.detail)
                pause = _RESTORE_AGAIN[min(tries, len(_RESTORE_AGAIN) - 1)]
                await asyncio.wait([owner.ended], timeout=pause)
                tries += 1
            else:
                owner.supervise(copying, "checkpointer")
                break
        return device

    def _open_spool(self, folder: DeviceFolder) -> Spool:
        """What earlier owners on this node received and did not commit becomes ours."""
        paths = folder.leftover_spools()
        spool = Spool(
            folder.spool,
            limit=self._owner.settings.spool.max_bytes,
            on_full=self._on_disk_refused,
            fsync=self._owner.settings.spool.fsync,
        )
        spool.take_over([entry for path in paths for entry in Spool.read(path)])
        if spool.survives:
            folder.spools_taken.update(paths)
        return spool


def _taken_over(claim: Claim, record: SessionRecord) -> str | None:
    """`takeover` after an owner that did not let go, `handover` from one that did so while the
    session was to go on; None: nobody owned it, or it was stopped meanwhile."""
    if claim.predecessor in {"expired", "alive"}:
        return "takeover"
    released = claim.predecessor == "released"
    return "handover" if released and record.status is SessionStatus.STARTING else None
