"""People and their two addresses. What is kept under a LID moves to the number (0010)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cluster.domain.contact import Contact
from cluster.domain.printable import printable
from cluster.stores.database import Connection, Database, Row, hold_fence

__all__ = ["PeopleStore", "finish_moves", "insert_pairs"]

#: Pairs, and messages, that are dealt with in one transaction: some tens of milliseconds.
_PAIRS, _MOVED = 20, 500


class PeopleStore:
    """Tables `lid_pairs` and `contacts`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def paired(self, session_id: int, epoch: int, pairs: Sequence[tuple[str, str]]) -> None:
        """LID and phone number of persons became known: one contact and one chat from now on. What
        is in a long chat follows part by part, so that sends and what arrives get their turn
        between. Raises `NotOwner`."""
        for start in range(0, len(pairs), _PAIRS):
            async with self._db.connection() as connection, connection.transaction():
                await hold_fence(connection, session_id, epoch)
                await insert_pairs(connection, session_id, pairs[start : start + _PAIRS])
        await finish_moves(self._db, session_id, epoch)

    async def named(self, session_id: int, names: Mapping[str, tuple[str, str]]) -> None:
        """What people are called in the address book and call themselves, by JID: where it is
        news."""
        if not names:
            return
        await self._db.run(
            """
            INSERT INTO contacts AS c (session_id, jid, name, push_name)
            SELECT %(id)s, canonical_chat(%(id)s, jid), name, push_name
            FROM unnest(%(jids)s::text[], %(names)s::text[], %(push_names)s::text[])
                 AS known(jid, name, push_name)
            WHERE jid = canonical_chat(%(id)s, jid)
            ON CONFLICT (session_id, jid) DO UPDATE SET
                name = CASE WHEN excluded.name <> '' THEN excluded.name ELSE c.name END,
                push_name = CASE WHEN c.push_name = '' THEN excluded.push_name
                                 ELSE c.push_name END
            WHERE excluded.name NOT IN ('', c.name)
               OR (c.push_name = '' AND excluded.push_name <> '')
            """,
            {
                "id": session_id,
                "jids": list(names),
                "names": [printable(name) for name, _ in names.values()],
                "push_names": [printable(push_name) for _, push_name in names.values()],
            },
        )

    async def contacts(self, session_id: int) -> list[Contact]:
        """Everybody who was ever heard of, by JID."""
        rows = await self._db.all(
            """
            SELECT c.jid, c.name, c.push_name, coalesce(p.lid, '') AS lid FROM contacts c
            LEFT JOIN LATERAL (
                SELECT lid FROM lid_pairs
                WHERE session_id = c.session_id AND phone = c.jid ORDER BY lid LIMIT 1
            ) AS p ON true
            WHERE c.session_id = %(id)s ORDER BY c.jid
            """,
            {"id": session_id},
        )
        return [_contact(row) for row in rows]


async def finish_moves(database: Database, session_id: int, epoch: int) -> None:
    """What `insert_pairs` left under a LID, also in an earlier process, moves to the number. Raises
    `NotOwner`."""
    more = True
    while more:
        async with database.connection() as connection, connection.transaction():
            await hold_fence(connection, session_id, epoch)
            cursor = await connection.execute(
                "SELECT move_lids(%(id)s, %(most)s) AS more", {"id": session_id, "most": _MOVED}
            )
            row = await cursor.fetchone()
        more = bool(row and row["more"])


async def insert_pairs(
    connection: Connection, session_id: int, pairs: Sequence[tuple[str, str]]
) -> None:
    """In a transaction that holds the fence."""
    await connection.execute(
        """
        INSERT INTO lid_pairs AS known (session_id, lid, phone)
        SELECT DISTINCT ON (lid) %(id)s, lid, phone
        FROM unnest(%(lids)s::text[], %(phones)s::text[]) AS pairs(lid, phone)
        ON CONFLICT (session_id, lid) DO UPDATE SET phone = excluded.phone
        WHERE known.phone <> excluded.phone
        """,
        {
            "id": session_id,
            "lids": [lid for lid, _ in pairs],
            "phones": [phone for _, phone in pairs],
        },
    )


def _contact(row: Row) -> Contact:
    lid = row["lid"] or (row["jid"] if row["jid"].endswith("@lid") else "")
    return Contact(jid=row["jid"], lid=lid, name=row["name"], push_name=row["push_name"])
