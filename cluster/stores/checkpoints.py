"""Which checkpoints of a device store exist. Correctness is here; S3 only holds the bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cluster.stores.database import Database, fenced

__all__ = ["CheckpointRow", "CheckpointStore"]


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointRow:
    """One object of a chain: a base, or a delta on top of it."""

    session_id: int
    epoch: int
    #: Grows by one within an epoch.
    seq: int
    #: `base` or `delta`
    kind: str
    #: Seq of the chain's base, of the same epoch.
    base_seq: int
    object_key: str
    #: Bytes, sealed.
    size: int
    #: Hex digest of the sealed object.
    sha256: str
    #: Id of the key it is sealed with.
    key_id: str
    bad: bool
    created_at: datetime


class CheckpointStore:
    """Table `checkpoints`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def commit(
        self,
        session_id: int,
        epoch: int,
        *,
        seq: int,
        kind: str,
        base_seq: int,
        object_key: str,
        size: int,
        sha256: str,
        key_id: str,
    ) -> None:
        """Make an uploaded object part of the truth. Raises `NotOwner`."""
        row = await self._db.one(
            """
            WITH fence AS (
                SELECT session_id FROM session_streams
                WHERE session_id = %(id)s AND epoch = %(epoch)s FOR SHARE
            ), made AS (
                INSERT INTO checkpoints (session_id, epoch, seq, kind, base_seq, object_key, size,
                                         sha256, key_id)
                SELECT session_id, %(epoch)s, %(seq)s, %(kind)s, %(base)s, %(object)s, %(size)s,
                       %(sha256)s, %(key)s
                FROM fence
            )
            SELECT EXISTS (SELECT 1 FROM fence) AS owner
            """,
            {
                "id": session_id,
                "epoch": epoch,
                "seq": seq,
                "kind": kind,
                "base": base_seq,
                "object": object_key,
                "size": size,
                "sha256": sha256,
                "key": key_id,
            },
        )
        fenced(row, session_id, epoch)

    async def rows(self, session_id: int) -> list[CheckpointRow]:
        """All checkpoints of the session, newest first."""
        rows = await self._db.all(
            """
            SELECT session_id, epoch, seq, kind, base_seq, object_key, size, sha256, key_id, bad,
                   created_at
            FROM checkpoints WHERE session_id = %(id)s ORDER BY epoch DESC, seq DESC
            """,
            {"id": session_id},
        )
        return [CheckpointRow(**row) for row in rows]

    async def set_bad(
        self, session_id: int, row: tuple[int, int], *, bad: bool, epoch: int | None
    ) -> bool:
        """Its bytes were read, and are not what was written (or are after all): the others are
        tried before it. `row`: its epoch and seq; `epoch`: as the owner, raises `NotOwner`; None:
        a person says so. False: there is no such row, or it was so already."""
        found = await self._db.one(
            """
            WITH fence AS (
                SELECT session_id FROM session_streams
                WHERE session_id = %(id)s AND (%(epoch)s::bigint IS NULL OR epoch = %(epoch)s)
                FOR SHARE
            ), changed AS (
                UPDATE checkpoints SET bad = %(bad)s
                WHERE session_id IN (SELECT session_id FROM fence)
                  AND epoch = %(of)s AND seq = %(seq)s AND bad <> %(bad)s
                RETURNING seq
            )
            SELECT EXISTS (SELECT 1 FROM fence) AS owner, EXISTS (SELECT 1 FROM changed) AS changed
            """,
            {"id": session_id, "epoch": epoch, "of": row[0], "seq": row[1], "bad": bad},
        )
        return bool(fenced(found, session_id, epoch or 0)["changed"])

    async def delete(self, session_id: int, epoch: int, keys: Sequence[str]) -> int:
        """Remove the rows of these object keys. Raises `NotOwner`."""
        row = await self._db.one(
            """
            WITH fence AS (
                SELECT session_id FROM session_streams
                WHERE session_id = %(id)s AND epoch = %(epoch)s FOR SHARE
            ), gone AS (
                DELETE FROM checkpoints
                WHERE session_id IN (SELECT session_id FROM fence)
                  AND object_key = ANY(%(keys)s)
                RETURNING seq
            )
            SELECT EXISTS (SELECT 1 FROM fence) AS owner, (SELECT count(*) FROM gone) AS gone
            """,
            {"id": session_id, "epoch": epoch, "keys": list(keys)},
        )
        return int(fenced(row, session_id, epoch)["gone"])

    async def delete_all(self, session_id: int, epoch: int) -> list[str]:
        """Remove all rows of the session; returns their object keys. Raises `NotOwner`."""
        row = await self._db.one(
            """
            WITH fence AS (
                SELECT session_id FROM session_streams
                WHERE session_id = %(id)s AND epoch = %(epoch)s FOR SHARE
            ), gone AS (
                DELETE FROM checkpoints WHERE session_id IN (SELECT session_id FROM fence)
                RETURNING object_key
            )
            SELECT EXISTS (SELECT 1 FROM fence) AS owner,
                   (SELECT array_agg(object_key) FROM gone) AS keys
            """,
            {"id": session_id, "epoch": epoch},
        )
        return list(fenced(row, session_id, epoch)["keys"] or ())
