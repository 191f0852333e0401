"""Groups, as WhatsApp last described them."""

from __future__ import annotations

from cluster.domain.history import GroupEvent
from cluster.domain.printable import printable
from cluster.stores.database import Connection, Database, hold_fence, jsonb

__all__ = ["GroupStore", "write_group"]


class GroupStore:
    """Table `groups`; the subject is also the name of the chat."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def write(self, session_id: int, epoch: int, event: GroupEvent) -> None:
        """Keep it, unless something newer is known. Raises `NotOwner`."""
        async with self._db.connection() as connection, connection.transaction():
            await hold_fence(connection, session_id, epoch)
            await write_group(connection, session_id, event)

    async def list(self, session_id: int) -> list[GroupEvent]:
        """All groups the account was ever heard of, by JID."""
        rows = await self._db.all(
            """
            SELECT jid, told_at, subject, description, members, joined
            FROM groups WHERE session_id = %(id)s ORDER BY jid
            """,
            {"id": session_id},
        )
        return [
            GroupEvent(
                jid=row["jid"],
                at=row["told_at"],
                subject=row["subject"],
                description=row["description"],
                members=row["members"],
                joined=row["joined"],
            )
            for row in rows
        ]


async def write_group(connection: Connection, session_id: int, event: GroupEvent) -> None:
    """In a transaction that holds the fence."""
    values: dict[str, object] = {
        "id": session_id,
        "jid": event.jid,
        "subject": None if event.subject is None else printable(event.subject),
        "description": None if event.description is None else printable(event.description),
        "members": None if event.members is None else jsonb(dict(event.members)),
        "changed": jsonb(dict(event.changed)),
        "gone": list(event.gone),
        "joined": event.joined,
        "at": event.at,
    }
    await connection.execute(
        """
        INSERT INTO groups AS g (session_id, jid, subject, description, members, joined, told_at)
        VALUES (%(id)s, %(jid)s, coalesce(%(subject)s::text, ''),
                coalesce(%(description)s::text, ''),
                (coalesce(%(members)s::jsonb, '{}') || %(changed)s::jsonb) - %(gone)s::text[],
                coalesce(%(joined)s::boolean, true), %(at)s)
        ON CONFLICT (session_id, jid) DO UPDATE SET
            subject = coalesce(%(subject)s::text, g.subject),
            description = coalesce(%(description)s::text, g.description),
            members = (coalesce(%(members)s::jsonb, g.members) || %(changed)s::jsonb)
                      - %(gone)s::text[],
            joined = coalesce(%(joined)s::boolean, g.joined),
            told_at = excluded.told_at
        WHERE g.told_at <= excluded.told_at
        """,
        values,
    )
    await connection.execute(
        """
        UPDATE chats SET name = g.subject FROM groups g
        WHERE chats.session_id = %(id)s AND chats.chat = %(jid)s
          AND g.session_id = %(id)s AND g.jid = %(jid)s
          AND g.subject <> '' AND chats.name <> g.subject
        """,
        values,
    )
