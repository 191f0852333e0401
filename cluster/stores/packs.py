"""Packs: processes that host many sessions each, and which session lives in which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cluster.stores.database import Database

__all__ = ["Pack", "PackStore"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pack:
    """One pack."""

    id: int
    #: Ray id of the node it is pinned to.
    node: str
    #: Sessions it has room for.
    capacity: int
    #: It takes no more sessions, and ends once it is empty.
    worn: bool
    #: Seconds since its process was heard of, or since it was made.
    silent: float
    #: Its process was heard of at all.
    begun: bool


class PackStore:
    """Tables `packs` and `session_packs`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def make(self, node: str, capacity: int) -> int:
        """A new pack; returns its id."""
        row = await self._db.one(
            "INSERT INTO packs (node, capacity) VALUES (%(node)s, %(capacity)s) RETURNING id",
            {"node": node, "capacity": capacity},
        )
        assert row is not None  # noqa: S101 - RETURNING of one inserted row
        return int(row["id"])

    async def remove(self, pack: int) -> None:
        """It is no more; its sessions are without a place."""
        await self._db.run("DELETE FROM packs WHERE id = %(id)s", {"id": pack})

    async def clear(self) -> None:
        """No packs: every session has an actor of its own."""
        await self._db.run("DELETE FROM packs", {})

    async def list(self) -> list[Pack]:
        """All of them, oldest first."""
        rows = await self._db.all(
            """
            SELECT id, node, capacity, worn, isfinite(seen_at) AS begun,
                   extract(epoch FROM clock_timestamp() - greatest(seen_at, made_at))::float8
                       AS silent
            FROM packs ORDER BY id
            """,
            {},
        )
        return [Pack(**row) for row in rows]

    async def places(self) -> dict[int, int]:
        """Session id → pack."""
        rows = await self._db.all("SELECT session_id, pack FROM session_packs", {})
        return {row["session_id"]: row["pack"] for row in rows}

    async def pack_of(self, session_id: int) -> int:
        """0: it has no place."""
        row = await self._db.one(
            "SELECT pack FROM session_packs WHERE session_id = %(id)s", {"id": session_id}
        )
        return int(row["pack"]) if row else 0

    async def assign(self, places: Mapping[int, int]) -> None:
        """Session id → pack. Those that have a place keep it; sessions and packs that are no more
        are left out."""
        await self._db.run(
            """
            INSERT INTO session_packs (session_id, pack)
            SELECT a.session_id, a.pack
            FROM unnest(%(sessions)s::bigint[], %(packs)s::bigint[]) AS a(session_id, pack)
                 JOIN sessions s ON s.id = a.session_id JOIN packs p ON p.id = a.pack
            ON CONFLICT DO NOTHING
            """,
            {"sessions": list(places), "packs": list(places.values())},
        )

    async def unassign(self, sessions: Sequence[int]) -> None:
        """They have no place: their process ends them, and no other begins."""
        await self._db.run(
            "DELETE FROM session_packs WHERE session_id = ANY(%(sessions)s)",
            {"sessions": list(sessions)},
        )

    async def look(self, pack: int, *, worn: bool) -> frozenset[int] | None:
        """The pack's process is alive, and asks what it has to run. None: the pack is no more."""
        rows = await self._db.all(
            """
            WITH me AS (
                UPDATE packs SET seen_at = clock_timestamp(), worn = packs.worn OR %(worn)s
                WHERE id = %(id)s RETURNING id
            )
            SELECT s.id AS session_id FROM me
                LEFT JOIN session_packs sp ON sp.pack = me.id
                LEFT JOIN sessions s ON s.id = sp.session_id AND s.desired = 'RUNNING'
                     AND s.status <> 'FAILED'
            """,
            {"id": pack, "worn": worn},
        )
        if not rows:
            return None
        return frozenset(row["session_id"] for row in rows if row["session_id"] is not None)
