"""Bringing back the newest checkpoint that is whole."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from actors.checkpoint import pages
from actors.checkpoint.pages import DamagedCheckpoint
from actors.checkpoint.sealer import Binding, Sealer, SealError, UnknownKey
from cluster.domain.errors import NotFound, Unavailable
from cluster.stores.checkpoints import CheckpointRow, CheckpointStore
from cluster.stores.objects import ObjectStore

__all__ = ["RestoreReport", "chain_of", "restore"]

log = structlog.get_logger(__name__)


@dataclass(kw_only=True, slots=True)
class RestoreReport:
    """What was restored."""

    epoch: int
    seq: int
    #: A newer checkpoint existed, but was not whole.
    fell_back: bool
    problems: list[str] = field(default_factory=list)


async def restore(
    session_id: int,
    target: Path,
    *,
    store: CheckpointStore,
    objects: ObjectStore,
    sealer: Sealer,
) -> RestoreReport | None:
    """Write the newest whole checkpoint to `target`; None when the session never had one.

    Raises `Unavailable` when a store is away, or when there are checkpoints and none can be
    restored: linking anew then is for a person to decide.
    """
    rows = await store.rows(session_id)
    usable = [row for row in rows if not row.bad]
    problems: list[str] = [
        f"{row.epoch}/{row.seq}: found damaged earlier" for row in rows if row.bad
    ]
    for row in usable:
        try:
            image = await _image(row, usable, objects, sealer)
        except (DamagedCheckpoint, SealError, NotFound) as error:
            problems.append(f"{row.epoch}/{row.seq}: {error}")
            log.error(
                "checkpoint.not_whole",
                session_id=session_id,
                epoch=row.epoch,
                seq=row.seq,
                error=str(error),
            )
            # A key that is missing may come back with the next configuration.
            if not isinstance(error, UnknownKey):
                await store.mark_bad(session_id, row.epoch, row.seq)
            continue
        await asyncio.to_thread(_write, target, image)
        return RestoreReport(
            epoch=row.epoch, seq=row.seq, fell_back=row is not rows[0], problems=problems
        )
    if rows:
        raise Unavailable(
            f"none of {len(rows)} checkpoints of the session can be restored", retry_after=60
        )
    return None


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
    row: CheckpointRow, rows: Sequence[CheckpointRow], objects: ObjectStore, sealer: Sealer
) -> bytes:
    image = b""
    for part in chain_of(row, rows):
        sealed = await objects.get(part.object_key)
        image = await asyncio.to_thread(_add, image, sealed, part, sealer)
    return image


def _add(image: bytes, sealed: bytes, part: CheckpointRow, sealer: Sealer) -> bytes:
    if hashlib.sha256(sealed).hexdigest() != part.sha256:
        raise DamagedCheckpoint(f"object of part {part.seq} was altered")
    binding = Binding(
        session_id=part.session_id,
        epoch=part.epoch,
        seq=part.seq,
        kind=part.kind,
        base_seq=part.base_seq,
    )
    return pages.apply(image, sealer.open(sealed, binding))


def _write(target: Path, image: bytes) -> None:
    """Whole or not at all, without leftovers of an earlier store."""
    for suffix in ("-wal", "-shm", "-journal"):
        target.with_name(target.name + suffix).unlink(missing_ok=True)
    fresh = target.with_name(target.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(image)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(target)
