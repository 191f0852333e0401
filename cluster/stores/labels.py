"""Labels, and the chats that carry them.

WhatsApp keeps labels as app state. What is written through the gateway is here at once, what a
phone changes when the library has it (`actors.whatsapp.app_state_seen`).
"""

from __future__ import annotations

from collections.abc import Sequence

from cluster.domain.errors import Conflict
from cluster.domain.label import Label
from cluster.stores.database import Database, printable

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

    async def put(self, session_id: int, label: Label) -> None:
        """Write a label, known or not."""
        await self._db.run(
            """
            INSERT INTO labels (session_id, id, name, color)
            VALUES (%(session)s, %(id)s, %(name)s, %(color)s)
            ON CONFLICT (session_id, id) DO UPDATE SET name = excluded.name, color = excluded.color
            """,
            {
                "session": session_id,
                "id": int(label.id),
                "name": printable(label.name),
                "color": label.color,
            },
        )

    async def delete(self, session_id: int, label_id: str) -> None:
        """With its place on chats."""
        await self._db.run(
            "DELETE FROM labels WHERE session_id = %(session)s AND id = %(id)s",
            {"session": session_id, "id": int(label_id)},
        )

    async def clear(self, session_id: int) -> None:
        """Forget them all: they belonged to the account that is not linked any more."""
        await self._db.run(
            "DELETE FROM labels WHERE session_id = %(session)s", {"session": session_id}
        )

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

    async def mark(self, session_id: int, label_id: str, chat: str, *, labeled: bool) -> None:
        """Give a chat a label, or take it away."""
        values = {"session": session_id, "id": int(label_id), "chat": chat}
        if labeled:
            await self._db.run(
                """
                INSERT INTO chat_labels (session_id, label_id, chat)
                VALUES (%(session)s, %(id)s, %(chat)s) ON CONFLICT DO NOTHING
                """,
                values,
            )
        else:
            await self._db.run(
                """
                DELETE FROM chat_labels
                WHERE session_id = %(session)s AND label_id = %(id)s AND chat = %(chat)s
                """,
                values,
            )
