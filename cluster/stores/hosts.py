"""Hosts: processes that run sessions, one or many each, and which session lives in which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cluster.stores.database import Database

__all__ = ["Host", "HostStore"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """One process, whether it is there at the moment or not."""

    id: int
    #: Ray id of the node it was made for.
    node: str
    #: Sessions it has room for.
    capacity: int
    #: It takes no more sessions, and ends once it is empty.
    retired: bool = False

    @property
    def shared(self) -> bool:
        """By several sessions; otherwise its actor carries the name of its only one."""
        return self.capacity > 1


class HostStore:
    """Tables `hosts` and `placements`: the supervisor's wishes. Who may act, epochs say."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def make(self, node: str, capacity: int) -> int:
        """A new host; returns its id."""
        row = await self._db.one(
            "INSERT INTO hosts (node, capacity) VALUES (%(node)s, %(capacity)s) RETURNING id",
            {"node": node, "capacity": capacity},
        )
        assert row is not None  # noqa: S101 - RETURNING of one inserted row
        return int(row["id"])

    async def remove(self, host: int) -> None:
        """It is no more; its sessions are without a place."""
        await self._db.run("DELETE FROM hosts WHERE id = %(id)s", {"id": host})

    async def list(self) -> list[Host]:
        """All of them, oldest first."""
        rows = await self._db.all(
            "SELECT id, node, capacity, worn AS retired FROM hosts ORDER BY id", {}
        )
        return [Host(**row) for row in rows]

    async def assignments(self) -> dict[int, int]:
        """Session id → host."""
        rows = await self._db.all("SELECT session_id, host FROM placements", {})
        return {row["session_id"]: row["host"] for row in rows}

    async def of(self, session_id: int) -> Host | None:
        """The session's host; None: it has no place."""
        row = await self._db.one(
            """
            SELECT h.id, h.node, h.capacity, h.worn AS retired
            FROM placements p JOIN hosts h ON h.id = p.host WHERE p.session_id = %(id)s
            """,
            {"id": session_id},
        )
        return Host(**row) if row else None

    async def assign(self, assignments: Mapping[int, int]) -> None:
        """Session id → host. Those that have a place keep it; sessions and hosts that are no more
        are left out."""
        await self._db.run(
            """
            INSERT INTO placements (session_id, host)
            SELECT a.session_id, a.host
            FROM unnest(%(sessions)s::bigint[], %(hosts)s::bigint[]) AS a(session_id, host)
                 JOIN sessions s ON s.id = a.session_id JOIN hosts h ON h.id = a.host
            ON CONFLICT DO NOTHING
            """,
            {"sessions": list(assignments), "hosts": list(assignments.values())},
        )

    async def unassign(self, sessions: Sequence[int]) -> None:
        """They have no place: their process ends them, and no other begins."""
        await self._db.run(
            "DELETE FROM placements WHERE session_id = ANY(%(sessions)s)",
            {"sessions": list(sessions)},
        )

    async def retire(self, host: int) -> None:
        """Its process has too much behind it."""
        await self._db.run("UPDATE hosts SET worn = true WHERE id = %(id)s", {"id": host})

    async def sessions_of(self, host: int) -> frozenset[int] | None:
        """What its process has to run. None: the host is no more."""
        rows = await self._db.all(
            """
            SELECT s.id AS session_id FROM hosts h
                LEFT JOIN placements p ON p.host = h.id
                LEFT JOIN sessions s ON s.id = p.session_id AND s.desired = 'RUNNING'
                     AND s.status <> 'FAILED'
            WHERE h.id = %(id)s
            """,
            {"id": host},
        )
        if not rows:
            return None
        return frozenset(row["session_id"] for row in rows if row["session_id"] is not None)
