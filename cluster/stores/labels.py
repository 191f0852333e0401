"""Labels, and the chats that carry them.

WhatsApp keeps labels as app state. What is written through the gateway is here at once, what a
phone changes when the library has it (`actors.whatsapp.app_state_seen`).
"""

from __future__ import annotations

from collections.abc import Sequence

from cluster.domain.errors import Conflict
from cluster.domain.label import Label
from cluster.domain.printable import printable
from cluster.stores.database import Database, fenced

__all__ = ["LabelStore"]

#: Phones count their labels from 1: ids made here must not meet theirs.
_FIRST_ID = 1001


class LabelStore:
    """Tables `labels` and `chat_labels`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def list(self, session_id: int) -> Sequence[Label]:
        rows = await self._db.all(
            "SELECT id, name, color FROM labels WHERE session_id = %(session)s ORDER BY id",
            {"session": session_id},
        )
        return [Label(id=str(row["id"]), name=row["name"], color=row["color"]) for row in rows]

    async def add(self, session_id: int, name: str, color: int) -> Label:
        """A new label with the next id. Raises `Conflict` when two are made at the same moment."""
        row = await self._db.one(
            """
            INSERT INTO labels (session_id, id, name, color)
            SELECT %(session)s, greatest(%(first)s, coalesce(max(id) + 1, 0)), %(name)s, %(color)s
            FROM labels WHERE session_id = %(session)s
            ON CONFLICT DO NOTHING RETURNING id
            """,
            {"session": session_id, "first": _FIRST_ID, "name": printable(name), "color": color},
        )
        if row is None:
            raise Conflict("another label is being made at this moment: try again")
        return Label(id=str(row["id"]), name=name, color=color)

    async def put(self, session_id: int, label: Label, *, epoch: int | None = None) -> None:
        """Write a label, known or not; with `epoch`, as the owner: raises `NotOwner`."""
        row = await self._db.one(
            """
            WITH fence AS (
                SELECT session_id FROM session_streams
                WHERE session_id = %(session)s AND (%(epoch)s::bigint IS NULL OR epoch = %(epoch)s)
                FOR SHARE
            ), put AS (
                INSERT INTO labels (session_id, id, name, color)
                SELECT session_id, %(id)s, %(name)s, %(color)s FROM fence
                ON CONFLICT (session_id, id)
                DO UPDATE SET name = excluded.name, color = excluded.color
            )
            SELECT EXISTS (SELECT 1 FROM fence) AS owner
            """,
            {
                "session": session_id,
                "epoch": epoch,
                "id": int(label.id),
                "name": printable(label.name),
                "color": label.color,
            },
        )
        fenced(row, session_id, epoch or 0)

    async def delete(self, session_id: int, label_id: str, *, epoch: int | None = None) -> None:
        """With its place on chats; with `epoch`, as the owner: raises `NotOwner`."""
        row = await self._db.one(
            """
            WITH fence AS (
                SELECT session_id FROM session_streams
                WHERE session_id = %(session)s AND (%(epoch)s::bigint IS NULL OR epoch = %(epoch)s)
                FOR SHARE
            ), gone AS (
                DELETE FROM labels
                WHERE session_id IN (SELECT session_id FROM fence) AND id = %(id)s
            )
            SELECT EXISTS (SELECT 1 FROM fence) AS owner
            """,
            {"session": session_id, "epoch": epoch, "id": int(label_id)},
        )
        fenced(row, session_id, epoch or 0)

    async def of_chat(self, session_id: int, chat: str) -> Sequence[Label]:
        rows = await self._db.all(
            """
            SELECT id, name, color FROM labels
            JOIN chat_labels USING (session_id) WHERE session_id = %(session)s
              AND label_id = id AND chat = %(chat)s ORDER BY id
            """,
            {"session": session_id, "chat": chat},
        )
        return [Label(id=str(row["id"]), name=row["name"], color=row["color"]) for row in rows]

    async def chats(self, session_id: int, label_id: str) -> Sequence[str]:
        """JIDs of the chats with a label."""
        rows = await self._db.all(
            """
            SELECT chat FROM chat_labels
            WHERE session_id = %(session)s AND label_id = %(id)s ORDER BY chat
            """,
            {"session": session_id, "id": int(label_id)},
        )
        return [str(row["chat"]) for row in rows]

    async def mark(
        self, session_id: int, label_id: str, chat: str, *, labeled: bool, epoch: int | None = None
    ) -> None:
        """Give a chat a label (that is there), or take it away; with `epoch`, as the owner: raises
        `NotOwner`."""
        row = await self._db.one(
            _GIVE if labeled else _TAKE,
            {"session": session_id, "epoch": epoch, "id": int(label_id), "chat": chat},
        )
        fenced(row, session_id, epoch or 0)


_GIVE = """
    WITH fence AS (
        SELECT session_id FROM session_streams
        WHERE session_id = %(session)s AND (%(epoch)s::bigint IS NULL OR epoch = %(epoch)s)
        FOR SHARE
    ), label AS (
        -- Held, so that nobody deletes it meanwhile.
        SELECT session_id, id FROM labels
        WHERE session_id IN (SELECT session_id FROM fence) AND id = %(id)s FOR KEY SHARE
    ), given AS (
        INSERT INTO chat_labels (session_id, label_id, chat)
        SELECT session_id, id, %(chat)s FROM label ON CONFLICT DO NOTHING
    )
    SELECT EXISTS (SELECT 1 FROM fence) AS owner
"""
_TAKE = """
    WITH fence AS (
        SELECT session_id FROM session_streams
        WHERE session_id = %(session)s AND (%(epoch)s::bigint IS NULL OR epoch = %(epoch)s)
        FOR SHARE
    ), taken AS (
        DELETE FROM chat_labels
        WHERE session_id IN (SELECT session_id FROM fence)
          AND label_id = %(id)s AND chat = %(chat)s
    )
    SELECT EXISTS (SELECT 1 FROM fence) AS owner
"""
