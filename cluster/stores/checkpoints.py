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

    async def mark_bad(self, session_id: int, epoch: int, seq: int) -> None:
        """It could not be restored; never try it again."""
        await self._db.run(
            """
            UPDATE checkpoints SET bad = true
            WHERE session_id = %(id)s AND epoch = %(epoch)s AND seq = %(seq)s
            """,
            {"id": session_id, "epoch": epoch, "seq": seq},
        )

    async def delete(self, session_id: int, keys: Sequence[str]) -> int:
        """Remove the rows of these object keys."""
        return await self._db.run(
            "DELETE FROM checkpoints WHERE session_id = %(id)s AND object_key = ANY(%(keys)s)",
            {"id": session_id, "keys": list(keys)},
        )

    async def delete_all(self, session_id: int) -> list[str]:
        """Remove all rows of the session; returns their object keys."""
        rows = await self._db.all(
            "DELETE FROM checkpoints WHERE session_id = %(id)s RETURNING object_key",
            {"id": session_id},
        )
        return [row["object_key"] for row in rows]
