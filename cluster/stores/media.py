"""What is stored of attachments, and until when."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from cluster.stores.database import Database

__all__ = ["MediaStore", "StoredFile"]


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredFile:
    """An attachment in the object store."""

    key: str
    mimetype: str
    filename: str
    #: bytes
    size: int


class MediaStore:
    """Table `media`: the objects themselves are `ObjectStore`'s."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def put(self, session_id: int, file: StoredFile, *, seconds: float) -> None:
        """Note a stored object, kept for `seconds` from now (0: for ever); once more prolongs."""
        await self._db.run(
            """
            INSERT INTO media (session_id, object_key, mimetype, filename, size, expires_at)
            VALUES (%(id)s, %(key)s, %(mimetype)s, %(filename)s, %(size)s,
                    CASE WHEN %(seconds)s::float8 > 0
                         THEN clock_timestamp() + make_interval(secs => %(seconds)s) END)
            ON CONFLICT (session_id, object_key) DO UPDATE
            SET expires_at = excluded.expires_at
            """,
            {
                "id": session_id,
                "key": file.key,
                "mimetype": file.mimetype,
                "filename": file.filename,
                "size": file.size,
                "seconds": seconds,
            },
        )

    async def get(self, session_id: int, key: str) -> StoredFile | None:
        row = await self._db.one(
            "SELECT mimetype, filename, size FROM media "
            "WHERE session_id = %(id)s AND object_key = %(key)s",
            {"id": session_id, "key": key},
        )
        if row is None:
            return None
        return StoredFile(
            key=key, mimetype=row["mimetype"], filename=row["filename"], size=row["size"]
        )

    async def collect(
        self, limit: int, delete: Callable[[Sequence[str]], Awaitable[None]]
    ) -> list[str]:
        """Delete objects whose time is over and that no accepted message still needs, by `delete`;
        returns their keys.

        Their rows are locked meanwhile: who stores such a file again waits, finds it gone, and
        brings it anew.
        """
        async with self._db.connection() as connection, connection.transaction():
            cursor = await connection.execute(
                """
                SELECT session_id, object_key FROM media m
                WHERE expires_at < clock_timestamp() AND NOT EXISTS (
                    SELECT 1 FROM outbox o
                    WHERE o.session_id = m.session_id AND o.state = 'accepted'
                      -- Wherever in it: its file, its preview's picture, what comes to be.
                      AND jsonb_path_exists(o.content, 'strict $.** ? (@ == $key)',
                                            jsonb_build_object('key', m.object_key))
                )
                ORDER BY expires_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
                """,
                {"limit": limit},
            )
            rows = await cursor.fetchall()
            keys = [str(row["object_key"]) for row in rows]
            if keys:
                await delete(keys)
                await connection.execute(
                    """
                    DELETE FROM media WHERE (session_id, object_key) IN (
                        SELECT session_id, object_key
                        FROM unnest(%(ids)s::bigint[], %(keys)s::text[])
                             AS gone (session_id, object_key)
                    )
                    """,
                    {"ids": [row["session_id"] for row in rows], "keys": keys},
                )
        return keys
