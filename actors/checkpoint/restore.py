"""Bringing back the newest checkpoint that is whole."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from actors.checkpoint import pages
from actors.checkpoint.forget import forget_sessions
from actors.checkpoint.pages import DamagedCheckpoint
from actors.checkpoint.sealer import Binding, Sealer, SealError
from cluster.domain.errors import NotFound, Unavailable
from cluster.stores.checkpoints import CheckpointRow, CheckpointStore
from cluster.stores.objects import ObjectStore

__all__ = ["RestoreReport", "chain_of", "restore"]

log = structlog.get_logger(__name__)

#: Objects that are read at the same time.
_AT_ONCE = 8


@dataclass(kw_only=True, slots=True)
class RestoreReport:
    """What was restored."""

    epoch: int
    seq: int
    #: A newer checkpoint existed, but was not whole.
    fell_back: bool
    problems: list[str] = field(default_factory=list)
    #: Its ratchets were forgotten.
    forgot: bool = False


async def restore(
    session_id: int,
    target: Path,
    *,
    store: CheckpointStore,
    objects: ObjectStore,
    sealer: Sealer,
    epoch: int | None = None,
    trusted: Callable[[RestoreReport], bool] = lambda _: True,
) -> RestoreReport | None:
    """Write the newest whole checkpoint to `target`; None when the session never had one.

    The ratchets of one that is not `trusted` to be the very latest are forgotten before the file
    has its name: whatever interrupts this, a store is finished or not there. `epoch`: as the owner,
    remember which were damaged; those are tried last. Raises `NotOwner`, `Unavailable` when a store
    is unreachable, or when there are checkpoints and none can be restored: linking anew then is for
    a person to decide.
    """
    rows = await store.rows(session_id)
    parts = _Parts(objects)
    problems: list[str] = []
    damaged: list[CheckpointRow] = []
    for row in sorted(rows, key=lambda row: row.bad):
        try:
            image = await _image(row, rows, parts, sealer)
        except (DamagedCheckpoint, SealError, NotFound) as error:
            problems.append(f"{row.epoch}/{row.seq}: {error}")
            log.error(
                "checkpoint.not_whole",
                session_id=session_id,
                epoch=row.epoch,
                seq=row.seq,
                error=str(error),
            )
            # An object that is not there, or a key that does not fit, may be the configuration's.
            if isinstance(error, AlteredObject):
                damaged.append(row)
            continue
        report = RestoreReport(
            epoch=row.epoch, seq=row.seq, fell_back=row is not rows[0], problems=problems
        )
        report.forgot = not trusted(report)
        await asyncio.to_thread(_write, target, image, forget=report.forgot)
        if epoch is not None:
            # Only now: where not one of them opens, it is not they that are wrong.
            for one in damaged:
                await store.set_bad(session_id, (one.epoch, one.seq), bad=True, epoch=epoch)
            await store.set_bad(session_id, (row.epoch, row.seq), bad=False, epoch=epoch)
        return report
    if rows:
        raise Unavailable(
            f"none of {len(rows)} checkpoints of the session can be restored", retry_after=60
        )
    return None


class AlteredObject(DamagedCheckpoint):
    """Bytes that were read are not those that were written."""


class _Parts:
    """Objects of one restore, each read once: chains share their bases."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._read: dict[str, asyncio.Task[bytes]] = {}
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def read(self, keys: Sequence[str]) -> list[bytes]:
        """In their order. Raises `NotFound`, `Unavailable`."""
        for key in keys:
            if key not in self._read:
                self._read[key] = asyncio.create_task(self._get(key), name="checkpoint-part")
        found = await asyncio.gather(*(self._read[key] for key in keys), return_exceptions=True)
        for one in found:
            if isinstance(one, BaseException):
                raise one
        return [one for one in found if isinstance(one, bytes)]

    async def _get(self, key: str) -> bytes:
        async with self._gate:
            return await self._objects.get(key)


def chain_of(row: CheckpointRow, rows: Sequence[CheckpointRow]) -> list[CheckpointRow]:
    """The rows that make up `row`, base first. Raises `DamagedCheckpoint` when one is missing."""
    parts = sorted(
        (
            r
            for r in rows
            if r.epoch == row.epoch and r.base_seq == row.base_seq and r.seq <= row.seq
        ),
        key=lambda r: r.seq,
    )
    wanted = list(range(row.base_seq, row.seq + 1))
    if [r.seq for r in parts] != wanted or parts[0].kind != "base":
        raise DamagedCheckpoint("a part of the chain is missing")
    return parts


async def _image(
    row: CheckpointRow, rows: Sequence[CheckpointRow], parts: _Parts, sealer: Sealer
) -> bytes:
    image = b""
    chain = chain_of(row, rows)
    read = await parts.read([part.object_key for part in chain])
    for part, sealed in zip(chain, read, strict=True):
        image = await asyncio.to_thread(_add, image, sealed, part, sealer)
    return image


def _add(image: bytes, sealed: bytes, part: CheckpointRow, sealer: Sealer) -> bytes:
    if hashlib.sha256(sealed).hexdigest() != part.sha256:
        raise AlteredObject(f"object of part {part.seq} was altered")
    binding = Binding(
        session_id=part.session_id,
        epoch=part.epoch,
        seq=part.seq,
        kind=part.kind,
        base_seq=part.base_seq,
    )
    return pages.apply(image, sealer.open(sealed, binding))


def _write(target: Path, image: bytes, *, forget: bool) -> None:
    """Whole or not at all, without leftovers of an earlier store."""
    fresh = target.with_name(target.name + ".new")
    for name in (target.name, fresh.name):
        for suffix in ("-wal", "-shm", "-journal"):
            target.with_name(name + suffix).unlink(missing_ok=True)
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(image)
        out.flush()
        os.fsync(out.fileno())
    if forget:
        forget_sessions(fresh)
        if any(fresh.with_name(fresh.name + end).exists() for end in ("-wal", "-journal")):
            raise Unavailable("the device store could not be written whole", retry_after=5)
    fresh.replace(target)
