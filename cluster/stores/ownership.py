"""The lease protocol: who owns a session, by epochs that only grow. All times are the database's.

Safety rests on two rules kept here. A claim always makes a newer epoch, in one statement, so two
owners never share one. And no lease is ever shortened by a claim: the successor learns how long
its predecessor may still act (`connect_after`) and stays away from WhatsApp until then.

A restored database has gone back in time: owners that it does not know of ran since, and moved the
ratchets on. The first claim in another life of the database therefore skips a million epochs. That
alone makes everything of before a predecessor of long ago: nothing on a disk is the "store of the
epoch before", no checkpoint is a handover, no surviving owner has a newer epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from cluster.domain.errors import SessionNotFound
from cluster.stores.database import Database

__all__ = ["Claim", "OwnershipStore"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """What a new owner learns."""

    #: The fencing token of the new owner.
    epoch: int
    #: How long the predecessor may still be connected.
    connect_after: timedelta
    #: `none`, `released`, `expired` or `alive`: what became of the predecessor's lease.
    predecessor: str
    #: The predecessor let go cleanly: its last checkpoint is the very latest store.
    handed_over: bool
    #: Holder id of the predecessor; empty when there was none.
    previous_holder: str


class OwnershipStore:
    """Table `ownership`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def claim(self, session_id: int, node: str, holder: str, ttl: timedelta) -> Claim:
        """Become the owner under a new epoch. Raises `SessionNotFound`."""
        row = await self._db.one(
            """
            WITH old AS (
                SELECT session_id, epoch, life, holder, lease_until, released, clean,
                       clock_timestamp() AS now
                FROM ownership
                WHERE session_id = %(id)s FOR UPDATE
            ), present AS (
                SELECT database_life() AS life
            ), claimed AS (
                UPDATE ownership o SET
                    epoch = old.epoch + CASE
                        WHEN old.epoch = 0 OR old.life = present.life THEN 1 ELSE 1000000 END,
                    life = present.life, node = %(node)s, holder = %(holder)s,
                    lease_until = greatest(
                        CASE WHEN old.released THEN '-infinity' ELSE old.lease_until END,
                        old.now + %(ttl)s),
                    released = false, clean = false,
                    takeovers = o.takeovers + (NOT old.released)::int
                FROM old, present WHERE o.session_id = old.session_id
                RETURNING o.epoch
            ), fence AS (
                UPDATE session_streams s SET epoch = claimed.epoch FROM claimed
                WHERE s.session_id = %(id)s
            )
            SELECT claimed.epoch, old.epoch AS old_epoch, old.released,
                   old.clean AND claimed.epoch = old.epoch + 1 AS clean,
                   old.holder AS previous,
                   CASE WHEN old.released OR old.lease_until <= old.now THEN interval '0'
                        ELSE old.lease_until - old.now END AS remaining
            FROM old, claimed
            """,
            {"id": session_id, "node": node, "holder": holder, "ttl": ttl},
        )
        if row is None:
            raise SessionNotFound(str(session_id))
        remaining: timedelta = row["remaining"]
        if not row["old_epoch"]:
            predecessor = "none"
        elif row["released"]:
            predecessor = "released"
        else:
            predecessor = "alive" if remaining else "expired"
        return Claim(
            epoch=row["epoch"],
            connect_after=remaining,
            predecessor=predecessor,
            handed_over=bool(row["old_epoch"]) and row["released"] and row["clean"],
            previous_holder=row["previous"],
        )

    async def renew(self, session_id: int, epoch: int, ttl: timedelta) -> bool:
        """Lengthen the lease; False when a newer epoch exists."""
        touched = await self._db.run(
            """
            UPDATE ownership SET lease_until = greatest(lease_until, clock_timestamp() + %(ttl)s),
                   renewals = renewals + 1
            WHERE session_id = %(id)s AND epoch = %(epoch)s AND NOT released
            """,
            {"id": session_id, "epoch": epoch, "ttl": ttl},
        )
        return touched > 0

    async def renew_all(self, epochs: Mapping[int, int], ttl: timedelta) -> frozenset[int]:
        """Lengthen the leases of many sessions (id → epoch) in one statement; returns the ids of
        those that are still owned under that epoch."""
        rows = await self._db.all(
            """
            UPDATE ownership o SET
                lease_until = greatest(o.lease_until, clock_timestamp() + %(ttl)s)
            FROM unnest(%(ids)s::bigint[], %(epochs)s::bigint[]) AS r(session_id, epoch)
            WHERE o.session_id = r.session_id AND o.epoch = r.epoch AND NOT o.released
            RETURNING o.session_id
            """,
            {"ids": list(epochs), "epochs": list(epochs.values()), "ttl": ttl},
        )
        return frozenset(row["session_id"] for row in rows)

    async def release(self, session_id: int, epoch: int, *, clean: bool) -> bool:
        """Let go. `clean`: the last checkpoint is the very latest store. False: was not owner."""
        touched = await self._db.run(
            """
            UPDATE ownership SET released = true, clean = %(clean)s, node = '',
                   lease_until = clock_timestamp()
            WHERE session_id = %(id)s AND epoch = %(epoch)s
            """,
            {"id": session_id, "epoch": epoch, "clean": clean},
        )
        return touched > 0

    async def newest_epoch(self, session_id: int) -> int:
        """Raises `SessionNotFound`."""
        row = await self._db.one(
            "SELECT epoch FROM ownership WHERE session_id = %(id)s", {"id": session_id}
        )
        if row is None:
            raise SessionNotFound(str(session_id))
        return int(row["epoch"])
