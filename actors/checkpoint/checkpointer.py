"""Writing checkpoints of one session under one epoch, with group commit."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from actors.checkpoint import pages
from actors.checkpoint.pages import DamagedCheckpoint, Image
from actors.checkpoint.sealer import Binding, Sealer
from actors.checkpoint.snapshot import Snapshotter, reserve
from cluster.domain.errors import GatewayError, NotOwner, Unavailable
from cluster.settings import CheckpointSettings
from cluster.stores.checkpoints import CheckpointStore
from cluster.stores.objects import ObjectStore
from cluster.telemetry.metrics.meter import METER
from cluster.telemetry.tracing import span

__all__ = ["Checkpointer"]

log = structlog.get_logger(__name__)

_RETRY_FIRST, _RETRY_MOST = 1.0, 30.0
#: A chain longer than this takes long to restore; a new base is cheaper then.
_MAX_DELTAS = 64
#: Chains kept: the newest, and one to fall back to.
_KEPT_CHAINS = 2


class Written(Protocol):
    """Somebody who wants to know of checkpoints. May raise `NotOwner`."""

    async def __call__(self, *, seq: int, kind: str, size: int, reason: str) -> None: ...


@dataclass(slots=True)
class _Chain:
    """The chain that the next delta would continue."""

    base_seq: int
    image: Image
    base_size: int
    deltas: int = 0
    delta_bytes: int = 0


@dataclass(frozen=True, slots=True)
class _Made:
    """A checkpoint that is not stored yet."""

    binding: Binding
    image: Image
    sealed: bytes
    #: Hex digest of `sealed`.
    sha256: str


class Checkpointer:
    """Checkpoints one device store. Requests while one is being written become one more."""

    def __init__(
        self,
        *,
        session_id: int,
        epoch: int,
        path: Path,
        store: CheckpointStore,
        objects: ObjectStore,
        sealer: Sealer,
        settings: CheckpointSettings,
        written: Written | None = None,
    ) -> None:
        """`path`: the live SQLite store, open in the WhatsApp library; `written`: called with each
        checkpoint that was committed."""
        self._session_id = session_id
        self._epoch = epoch
        self._path = path
        self._store = store
        self._objects = objects
        self._sealer = sealer
        self._settings = settings
        self._snapshotter = Snapshotter()
        self._written = written
        self._seq = 0
        self._trace = ""
        #: Time of the oldest change that is in no checkpoint; 0: all are.
        self._wanted_at = 0.0
        self._chain: _Chain | None = None
        #: It was said that the disk keeps no room for the store.
        self._without_room = False
        #: Objects without rows that are still to be removed.
        self._old_objects: list[str] = []
        self._wanted = asyncio.Event()
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._log = log.bind(session_id=session_id, epoch=epoch)

    def start(self, *, on_not_owner: Callable[[str], Awaitable[None]]) -> asyncio.Task[None]:
        """Serve requests in the background, in the task that is given; `on_not_owner` is called
        when the epoch is over."""
        self._task = asyncio.create_task(self._run(on_not_owner), name="checkpointer")
        METER.gauge("checkpoint_lag", str(self._session_id), self._lag)
        return self._task

    def request(self, trace: str = "") -> None:
        """The store changed: checkpoint it soon. `trace`: `traceparent` of what changed it; of
        several the first is kept, a checkpoint is for all of them."""
        self._trace = self._trace or trace
        self._wanted_at = self._wanted_at or time.monotonic()
        self._wanted.set()

    async def stop(self) -> None:
        """End the background work; one that is being written is finished first."""
        METER.gauge("checkpoint_lag", str(self._session_id), None)
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task():
            async with self._lock:
                task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._snapshotter.close()

    async def checkpoint(self, reason: str) -> None:
        """Write one now, unless nothing changed since the last one of this epoch.

        Raises `NotOwner`, or `Unavailable` when a store is unreachable.
        """
        async with self._lock:
            trace, self._trace = self._trace, ""
            wanted_at = self._wanted_at
            with span(
                "checkpoint.write",
                {"traceparent": trace} if trace else None,
                session_id=self._session_id,
                epoch=self._epoch,
                reason=reason,
            ):
                await self._write(reason)
            if wanted_at:
                METER.observe("checkpoint_lag", time.monotonic() - wanted_at)
            if self._wanted_at == wanted_at and not self._wanted.is_set():
                self._wanted_at = 0.0
            else:
                self._wanted_at = time.monotonic()

    def _lag(self) -> float:
        """Seconds since the oldest change that no checkpoint has."""
        return time.monotonic() - self._wanted_at if self._wanted_at else 0.0

    async def erase(self) -> None:
        """Remove every checkpoint of the session. Raises `NotOwner`."""
        async with self._lock:
            self._chain = None
            # Rows first: a row without its object would be a damaged checkpoint.
            keys = await self._store.delete_all(self._session_id, self._epoch)
            await self._objects.delete(*keys)

    async def _run(self, on_not_owner: Callable[[str], Awaitable[None]]) -> None:
        delay = _RETRY_FIRST
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self.checkpoint("change")
            except NotOwner as error:
                await on_not_owner(error.detail)
                return
            except GatewayError as error:
                self._log.warning("checkpoint.failed", error=error.detail, retry_in=delay)
                METER.count("checkpoint_failures")
                self._wanted.set()
                await asyncio.sleep(delay)
                delay = min(delay * 2, _RETRY_MOST)
            else:
                delay = _RETRY_FIRST
                await asyncio.sleep(self._settings.interval_seconds)

    async def _write(self, reason: str) -> None:
        data = await self._snapshotter.take(self._path)
        if not data:
            return
        try:
            # One thread for all of it: each change of threads costs as much as the work.
            made = await asyncio.to_thread(self._prepare, data, self._seq)
        except DamagedCheckpoint as error:
            raise Unavailable(f"the device store cannot be read: {error}") from error
        if made is None:
            return
        # Never used again, whatever becomes of it: a commit whose answer got lost may stand.
        self._seq += 1
        chain, self._chain = self._chain, None
        await self._commit(made)
        kind, seq, size = made.binding.kind, made.binding.seq, len(made.sealed)
        if kind == "base" or chain is None:
            self._chain = _Chain(base_seq=seq, image=made.image, base_size=size)
            await self._collect()
        else:
            chain.image = made.image
            chain.deltas += 1
            chain.delta_bytes += size
            self._chain = chain
        self._log.info("checkpoint.written", seq=seq, kind=kind, size=size, reason=reason)
        if self._written is not None:
            await self._written(seq=seq, kind=kind, size=size, reason=reason)

    def _prepare(self, data: bytes, seq: int) -> _Made | None:
        """Room for the store's next commits, and what a store of these bytes is kept as; None: it
        has not changed. Raises `DamagedCheckpoint`."""
        try:
            reserve(self._path)
        except OSError as error:
            METER.count("store_room_failures")
            if not self._without_room:
                self._without_room = True
                self._log.warning("checkpoint.no_room_reserved", error=str(error))
        image, chain = Image.of(data), self._chain
        if chain is not None and chain.image.digest == image.digest:
            return None
        piece = self._delta(data, image)
        kind, base_seq = "delta", chain.base_seq if chain is not None else seq
        if piece is None:
            piece, kind, base_seq = pages.base(data, image), "base", seq
        binding = Binding(
            session_id=self._session_id, epoch=self._epoch, seq=seq, kind=kind, base_seq=base_seq
        )
        sealed = self._sealer.seal(piece, binding)
        return _Made(binding, image, sealed, hashlib.sha256(sealed).hexdigest())

    def _delta(self, data: bytes, image: Image) -> bytes | None:
        chain = self._chain
        if (
            chain is None
            or chain.deltas >= _MAX_DELTAS
            or chain.delta_bytes > max(chain.base_size, 1 << 18)
        ):
            return None
        return pages.delta(chain.image, data, image)

    async def _commit(self, made: _Made) -> None:
        """Upload, then make it part of the truth under the epoch."""
        what = made.binding
        key = f"checkpoints/{self._session_id}/{self._epoch:010d}/{what.seq:08d}-{what.kind}"
        await self._objects.put(key, made.sealed)
        try:
            await self._store.commit(
                self._session_id,
                self._epoch,
                seq=what.seq,
                kind=what.kind,
                base_seq=what.base_seq,
                object_key=key,
                size=len(made.sealed),
                sha256=made.sha256,
                key_id=self._sealer.key_id,
            )
        except NotOwner:
            await self._discard(key)
            raise

    async def _discard(self, key: str) -> None:
        try:
            await self._objects.delete(key)
        except GatewayError as error:
            self._log.warning("checkpoint.orphan", object_key=key, error=error.detail)

    async def _collect(self) -> None:
        """Remove the chains that no restore would look at. Failing to is tried with the next."""
        try:
            rows = await self._store.rows(self._session_id)
            chains = list(dict.fromkeys((r.epoch, r.base_seq) for r in rows if not r.bad))
            kept = set(chains[:_KEPT_CHAINS])
            old = [r.object_key for r in rows if (r.epoch, r.base_seq) not in kept]
            if old:
                # Rows first, as the owner: one that is not may not remove what others restore from.
                await self._store.delete(self._session_id, self._epoch, old)
                self._old_objects += old
            if self._old_objects:
                await self._objects.delete(*self._old_objects)
                self._old_objects = []
        except Unavailable as error:
            self._log.warning("checkpoint.not_collected", error=error.detail)
