"""Devices in and out of this gateway. What must hold: one device has one owner, wherever it is.

Out: the session is barred from starting (`exported_at`) before its store is read, and takes a new
epoch, so that nothing of before counts as the newest. In: the session is made barred, gets its
store as a checkpoint under an epoch of its own, and only then may start. An imported store may be
old, so its ratchets stay behind (invariant 2).
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from actors.checkpoint.checkpointer import Checkpointer
from actors.checkpoint.restore import restore
from actors.checkpoint.sealer import Sealer
from actors.process_identity import holder_id, is_dead
from actors.transfer.archive import ArchiveLock, seal_archive
from actors.transfer.library_store import identity_of
from actors.transfer.unpack import unpack
from cluster.domain.device_source import DeviceSource
from cluster.domain.errors import Conflict, GatewayError, NotOwner, RateLimited, SessionNotFound
from cluster.domain.session import DesiredState, Me, SessionRecord, SessionStatus
from cluster.settings import Settings
from cluster.stores import Stores
from cluster.stores.ownership import Claim

__all__ = ["DeviceMoves"]

log = structlog.get_logger(__name__)


class _Lock(asyncio.Lock):
    """With how many hold it or wait for it."""

    wanted = 0


#: Lease while a device is written in or out; far longer than that takes.
_TTL = timedelta(minutes=5)
_FORMAT = 1
#: Imports of one tenant that wait for the one that is under way.
_WAITING = 2


class DeviceMoves:
    """One at a time of a device, of a session, and of a tenant's imports: the check that nobody has
    the device must hold until it is noted, and nobody waits for what a stranger brought."""

    def __init__(self, stores: Stores, settings: Settings) -> None:
        self._stores = stores
        self._settings = settings
        self._locks: dict[tuple[str, ...], _Lock] = {}

    async def export(self, session_id: int, passphrase: str | None, key: str | None) -> bytes:
        """The session's device as an archive; the session does not start here from then on.

        Raises `Conflict` unless it is stopped and has a linked device.
        """
        lock = ArchiveLock.of(passphrase, key)
        named = await self._stores.sessions.get_by_id(session_id)
        async with self._alone("session", named.tenant, named.name):
            record = await self._stores.sessions.get_by_id(session_id)
            if record.me is None:
                raise Conflict("the session has no linked device")
            if not await self._stores.sessions.mark_exported(session_id):
                raise Conflict("the session runs: stop it first, so that nobody else owns it")
            try:
                archive = await self._archive(record, lock)
            except BaseException:
                if record.exported_at is None:
                    await self._stores.sessions.unmark_exported(session_id)
                raise
        log.info("transfer.exported", session=record.name, session_id=session_id)
        return archive

    async def take_back(self, session_id: int) -> None:
        """No archive of it is used: the session may start here again."""
        await self._stores.sessions.unmark_exported(session_id)
        log.info("transfer.taken_back", session_id=session_id)

    async def bring(
        self, tenant: str, name: str, config: dict[str, Any], source: DeviceSource
    ) -> int:
        """Make a stopped session of `source`; returns its id. The session may exist, when it was
        exported or has no device. Raises `Invalid`, and `Conflict` when the name or the device
        is taken."""
        async with self._alone("tenant", tenant, most=_WAITING):
            with tempfile.TemporaryDirectory(prefix="gateway-import-") as folder:
                store, found = await unpack(source, Path(folder))
                async with (
                    self._alone("session", tenant, name),
                    self._alone("device", found.me.jid),
                    self._barred(tenant, name, config or found.config) as made,
                ):
                    await self._write(made, found.me, store)
        log.info("transfer.imported", session=name, session_id=made.id, source=source.kind.value)
        return made.id

    @asynccontextmanager
    async def _alone(self, *what: str, most: int = 1000) -> AsyncIterator[None]:
        """Raises `RateLimited` when `most` wait already. Taken in the order tenant, session,
        device, so that nobody waits in a circle."""
        lock = self._locks.setdefault(what, _Lock())
        if lock.wanted > most:
            raise RateLimited("other imports are under way: try again later", retry_after=10)
        lock.wanted += 1
        try:
            async with lock:
                yield
        finally:
            lock.wanted -= 1
            if not lock.wanted:
                del self._locks[what]

    async def _archive(self, record: SessionRecord, lock: ArchiveLock) -> bytes:
        with tempfile.TemporaryDirectory(prefix="gateway-export-") as folder:
            store = Path(folder) / "device.db"
            claim = await self._claim(record)
            try:
                report = await restore(
                    record.id,
                    store,
                    store=self._stores.checkpoints,
                    objects=self._stores.objects,
                    sealer=self._sealer(),
                    epoch=claim.epoch,
                )
            finally:
                await self._stores.ownership.release(record.id, claim.epoch, clean=False)
            if report is None:
                raise Conflict("the session has no checkpoint of its device yet")
            facts = {
                "format": _FORMAT,
                "session": record.name,
                "config": record.config,
                "me": asdict(record.me) if record.me else None,
                "checkpoint": [report.epoch, report.seq],
                "exported_at": datetime.now(UTC).isoformat(),
            }
            image = await asyncio.to_thread(store.read_bytes)
            return await asyncio.to_thread(seal_archive, facts, image, lock)

    @asynccontextmanager
    async def _barred(
        self, tenant: str, name: str, config: dict[str, Any]
    ) -> AsyncIterator[SessionRecord]:
        """The session, kept from starting; a new one is removed again when the body fails."""
        sessions = self._stores.sessions
        try:
            record = await sessions.get(tenant, name)
        except SessionNotFound:
            record, fresh = await sessions.create(tenant, name, config, DesiredState.STOPPED), True
        else:
            fresh = False
            if record.exported_at is None and record.me is not None:
                raise Conflict(f"session '{name}' exists and has a device", field="name")
        try:
            if not await sessions.mark_exported(record.id):
                raise Conflict(f"session '{name}' runs: stop it first", field="name")
            yield record
        except BaseException:
            with contextlib.suppress(GatewayError):
                if fresh:
                    epoch = await self._stores.ownership.newest_epoch(record.id)
                    await self._stores.forget_device(record.id, epoch)
                    await sessions.delete(record.id)
                elif record.exported_at is None:
                    await sessions.unmark_exported(record.id)
            raise
        await sessions.unmark_exported(record.id)

    async def _write(self, record: SessionRecord, me: Me, store: Path) -> None:
        """The store becomes the session's newest checkpoint, and its account is known."""
        holders = await self._stores.sessions.holders_of_device(me.jid)
        for holder, tenant in holders.items():
            if holder != record.id and (
                tenant == record.tenant or await self._is_the_same(holder, store)
            ):
                raise Conflict("a session of this gateway has that device already", field="data")
        claim = await self._claim(record)
        clean = False
        try:
            checkpointer = Checkpointer(
                session_id=record.id,
                epoch=claim.epoch,
                path=store,
                store=self._stores.checkpoints,
                objects=self._stores.objects,
                sealer=self._sealer(),
                settings=self._settings.checkpoint,
            )
            await checkpointer.checkpoint("import")
            await self._stores.sessions.set_status(
                record.id, claim.epoch, SessionStatus.STOPPED, me=me
            )
            clean = True
        except NotOwner as error:
            raise Conflict("the session was started meanwhile") from error
        finally:
            await self._stores.ownership.release(record.id, claim.epoch, clean=clean)

    async def _is_the_same(self, holder: int, store: Path) -> bool:
        """Whether the device of `store` is the one that another tenant's session has under the
        same JID.

        A JID alone is no proof: only who has the device's own keys learns that it lives here, and
        a forged store bars nobody from the real one (WhatsApp lets it log in nowhere)."""
        theirs = store.with_name("holder.db")
        try:
            report = await restore(
                holder,
                theirs,
                store=self._stores.checkpoints,
                objects=self._stores.objects,
                sealer=self._sealer(),
            )
            if report is None:
                return True
            return await asyncio.to_thread(identity_of, theirs) in (
                b"",
                await asyncio.to_thread(identity_of, store),
            )
        finally:
            theirs.unlink(missing_ok=True)

    async def _claim(self, record: SessionRecord) -> Claim:
        """Nobody else owns the device, or is still connected with it, afterwards."""
        claim = await self._stores.ownership.claim(record.id, "", holder_id(), _TTL)
        if not (claim.previous_was_free and is_dead(claim.previous_holder)):
            await asyncio.sleep(claim.connect_after.total_seconds())
        await self._stores.ownership.waited(record.id, claim.epoch)
        return claim

    def _sealer(self) -> Sealer:
        return Sealer.from_setting(self._settings.checkpoint.keys.get_secret_value())
