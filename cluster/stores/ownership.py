"""The lease protocol: who owns a session, by epochs that only grow.

Safety rests on two rules kept here. A claim always makes a newer epoch, in one statement, so two
owners never share one; no renewal of an older epoch succeeds after it. And leases are durations: a
successor stays away from WhatsApp for the predecessor's whole lease (`connect_after`), counted
from the answer to its own claim, or from an earlier one to its node's agent that had the same row
(`version`), on its machine's clock. The server's clock decides nothing.

Where every node is on one host (`alone`), an owner's lease may be longer by what it may stay
connected without PostgreSQL: a successor there need not wait for it, because it sees whether the
owner's process lives, and ends one that does not let go. One from elsewhere waits for all of it. An
owner that is not alone any more first limits itself, then says so, and never lengthens again.

A successor that ends while it still waits has ended nobody's lease: the next one waits for the
first. Hence `free`, which an owner says once it has waited, and without which its own end, proven
or announced, ends no waiting.

A restored database has gone back in time: owners that it does not know of ran since, and moved the
ratchets on. The first claim in another life of the database therefore skips a million epochs. That
alone makes everything of before a predecessor of long ago: nothing on a disk is the "store of the
epoch before", no checkpoint is a handover, no surviving owner has a newer epoch. It also waits a
lease for those owners, whatever the row says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum

from cluster.domain.errors import NotOwner, SessionNotFound
from cluster.stores.database import Database

__all__ = ["Claim", "Lease", "OwnershipStore", "Renewal", "Standing"]


class Standing(IntEnum):
    """What an owner is after a renewal."""

    #: A newer epoch exists.
    LOST = 0
    OWNER = 1
    #: The owner, and every node is on its host.
    ALONE = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Renewal:
    """What the owner of the newest epoch learns."""

    #: Seq of the newest message that was accepted for the session: of what nobody notified it.
    accepted: int
    #: Every node is on the owner's host.
    alone: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """What a new owner learns."""

    #: The fencing token of the new owner.
    epoch: int
    #: How long somebody may still be connected, from the answer on.
    connect_after: timedelta
    #: `none`, `released`, `expired` or `alive`: what became of the predecessor's lease, as far as
    #: the server's clock says; for those who poll.
    predecessor: str
    #: The predecessor let go cleanly: its last checkpoint is the very latest store.
    handed_over: bool
    #: Holder id of the predecessor; empty when there was none.
    previous_holder: str
    #: The predecessor had waited out who was before it: when it is proven dead, nobody is left.
    previous_was_free: bool
    #: Every node is on the owner's host, and its lease is longer by what it may stay.
    alone: bool = False
    #: So it was for the predecessor: whoever sees its process may end it in place of waiting.
    previous_stays: bool = False
    #: Of the predecessor's row, see `Lease`; 0: of another life of the database, or of one that
    #: forgets commits when it crashes.
    previous_version: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """Of a session that is to run; another one after each renewal."""

    session_id: int
    epoch: int
    #: Of its row: PostgreSQL's `xmin`, the transaction that wrote it last.
    version: int
    #: How long it is.
    seconds: float
    #: The session's status says that it is owned.
    shown: bool


class OwnershipStore:
    """Table `ownership`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def claim(
        self,
        session_id: int,
        node: str,
        holder: str,
        ttl: timedelta,
        grace: timedelta = timedelta(),
        *,
        since: int = 0,
    ) -> Claim:
        """Become the owner under a new epoch. `grace`: how much longer the lease is to be where
        every node is on the holder's host; `since`: the holder's own last epoch, when it goes on.
        Raises `SessionNotFound`, and `NotOwner` when the newest epoch is not `since`."""
        row = await self._db.one(
            """
            WITH old AS (
                SELECT session_id, epoch, life, holder, lease_until, lease_ttl, released, clean,
                       free, stays, xmin::text::bigint AS version, clock_timestamp() AS now,
                       database_life() AS present
                FROM ownership
                WHERE session_id = %(id)s AND %(since)s IN (0, epoch) FOR UPDATE
            ), facts AS (
                SELECT session_id, epoch, lease_until > now AS fresh, clean, released,
                       now, present, epoch = 0 OR life = present AS known,
                       CASE WHEN epoch = 0 THEN interval '0'
                            WHEN life <> present THEN lease_ttl
                            WHEN released THEN interval '0' ELSE lease_ttl END AS wait,
                       CASE WHEN life = present THEN holder ELSE '' END AS previous,
                       CASE WHEN life = present AND current_setting('fsync') = 'on'
                                 AND current_setting('synchronous_commit') <> 'off'
                            THEN version ELSE 0 END AS version,
                       free, stays, %(grace)s > interval '0' AND alone(%(holder)s) AS alone
                FROM old
            ), claimed AS (
                UPDATE ownership o SET
                    epoch = facts.epoch + CASE WHEN known THEN 1 ELSE 1000000 END,
                    life = present, node = %(node)s, holder = %(holder)s,
                    stays = facts.alone,
                    lease_ttl = greatest(wait, %(ttl)s + CASE WHEN alone THEN %(grace)s
                                                              ELSE interval '0' END),
                    free = wait = interval '0', lease_until = now + %(ttl)s,
                    released = false, clean = false,
                    takeovers = o.takeovers + (NOT facts.released)::int
                FROM facts WHERE o.session_id = facts.session_id
                RETURNING o.epoch
            ), fence AS (
                UPDATE session_streams s SET epoch = claimed.epoch FROM claimed
                WHERE s.session_id = %(id)s
            )
            SELECT claimed.epoch, facts.epoch AS old_epoch, facts.released, facts.fresh,
                   facts.clean AND claimed.epoch = facts.epoch + 1 AS clean,
                   facts.previous, facts.wait, facts.free, facts.alone,
                   facts.stays, facts.version
            FROM facts, claimed
            """,
            {
                "id": session_id,
                "node": node,
                "holder": holder,
                "ttl": ttl,
                "grace": grace,
                "since": since,
            },
        )
        if row is None and since:
            raise NotOwner("a newer epoch owns the session")
        if row is None:
            raise SessionNotFound(str(session_id))
        if not row["old_epoch"]:
            predecessor = "none"
        elif row["released"]:
            predecessor = "released"
        else:
            predecessor = "alive" if row["fresh"] else "expired"
        return Claim(
            epoch=row["epoch"],
            connect_after=row["wait"],
            predecessor=predecessor,
            handed_over=bool(row["old_epoch"]) and row["released"] and row["clean"],
            previous_holder=row["previous"],
            previous_was_free=row["free"],
            alone=row["alone"],
            previous_stays=row["stays"],
            previous_version=row["version"],
        )

    async def waited(self, session_id: int, epoch: int) -> bool:
        """The owner has waited out its predecessor, or knows that it is dead: it may connect, and
        its own end ends the next one's waiting. False when a newer epoch exists."""
        touched = await self._db.run(
            "UPDATE ownership SET free = true WHERE session_id = %(id)s AND epoch = %(epoch)s",
            {"id": session_id, "epoch": epoch},
        )
        return touched > 0

    async def left(self, session_id: int, epoch: int) -> None:
        """The owner of that epoch closed its connection for good: whoever waits for it, now or
        later, need not."""
        await self._db.run(
            "UPDATE ownership SET left_epoch = greatest(left_epoch, %(epoch)s) "
            "WHERE session_id = %(id)s AND epoch >= %(epoch)s",
            {"id": session_id, "epoch": epoch},
        )

    async def has_left(self, session_id: int, epoch: int) -> bool:
        """Whether the owner of that epoch said so."""
        row = await self._db.one(
            "SELECT left_epoch FROM ownership WHERE session_id = %(id)s", {"id": session_id}
        )
        return row is not None and bool(row["left_epoch"] >= epoch)

    async def renew(
        self, session_id: int, epoch: int, ttl: timedelta, grace: timedelta = timedelta()
    ) -> Renewal | None:
        """Lengthen the lease, to `ttl` and what the owner may stay beyond it (`grace`). None when a
        newer epoch exists."""
        row = await self._db.one(
            # Once it has waited, the lease is the owner's alone, and may become shorter.
            """
            UPDATE ownership o SET
                lease_ttl = CASE WHEN free THEN %(lease)s ELSE greatest(lease_ttl, %(lease)s) END,
                lease_until = clock_timestamp() + %(ttl)s, renewals = renewals + 1
            WHERE session_id = %(id)s AND epoch = %(epoch)s AND NOT released
            RETURNING alone(o.holder) AS alone,
                      (SELECT outbox_seq FROM session_streams s
                       WHERE s.session_id = o.session_id) AS accepted
            """,
            {"id": session_id, "epoch": epoch, "ttl": ttl, "lease": ttl + grace},
        )
        return Renewal(accepted=row["accepted"], alone=row["alone"]) if row else None

    async def renew_all(
        self, epochs: Mapping[int, int], ttl: timedelta, grace: timedelta = timedelta()
    ) -> dict[int, Renewal]:
        """Lengthen the leases of many sessions (id → epoch) in one statement; of those that are
        still owned under that epoch returns what `renew` does, by id."""
        rows = await self._db.all(
            """
            UPDATE ownership o SET
                lease_ttl = CASE WHEN o.free THEN %(lease)s
                                 ELSE greatest(o.lease_ttl, %(lease)s) END,
                lease_until = clock_timestamp() + %(ttl)s
            FROM unnest(%(ids)s::bigint[], %(epochs)s::bigint[]) AS r(session_id, epoch)
            WHERE o.session_id = r.session_id AND o.epoch = r.epoch AND NOT o.released
            RETURNING o.session_id, alone(o.holder) AS alone,
                      (SELECT outbox_seq FROM session_streams s
                       WHERE s.session_id = o.session_id) AS accepted
            """,
            {
                "ids": list(epochs),
                "epochs": list(epochs.values()),
                "ttl": ttl,
                "lease": ttl + grace,
            },
        )
        return {
            row["session_id"]: Renewal(accepted=row["accepted"], alone=row["alone"]) for row in rows
        }

    async def served_for(self, session_id: int, late: float, ttl: timedelta) -> float:
        """Seconds from now for which the session's owner counts as one that lives and works, unless
        it renews its lease meanwhile: a guess, for who waits for its answer. 0: no more. `late`:
        seconds after a renewal at which the next one is; `ttl`: of a lease that is not longer
        because its owner may stay."""
        row = await self._db.one(
            """
            SELECT extract(epoch FROM o.lease_until - %(ttl)s - clock_timestamp())::float8 AS ahead,
                   s.status = 'WORKING' AND NOT o.released AS works
            FROM ownership o JOIN sessions s ON s.id = o.session_id WHERE o.session_id = %(id)s
            """,
            {"id": session_id, "ttl": ttl},
        )
        return max(0.0, row["ahead"] + late) if row and row["works"] else 0.0

    async def release(self, session_id: int, epoch: int, *, clean: bool) -> bool:
        """Let go. `clean`: the last checkpoint is the very latest store. Of an owner that had not
        waited (`waited`) the next one waits as if it had not let go. False: was not owner."""
        touched = await self._db.run(
            """
            UPDATE ownership SET released = free, clean = free AND %(clean)s, node = '',
                   lease_until = clock_timestamp()
            WHERE session_id = %(id)s AND epoch = %(epoch)s
            """,
            {"id": session_id, "epoch": epoch, "clean": clean},
        )
        return touched > 0

    async def leases(self) -> list[Lease]:
        """Of sessions that are to run; those that nobody let go of."""
        rows = await self._db.all(
            """
            SELECT o.session_id, o.epoch, o.xmin::text::bigint AS version,
                   extract(epoch FROM o.lease_ttl)::float8 AS seconds,
                   s.status IN ('WORKING', 'SCAN_QR_CODE') AS shown
            FROM ownership o JOIN sessions s ON s.id = o.session_id
            WHERE s.desired = 'RUNNING' AND o.epoch > 0 AND NOT o.released
              AND isfinite(o.lease_until)
            """,
            {},
        )
        return [Lease(**row) for row in rows]

    async def ownerless(self) -> int:
        """How many sessions that ran, and are to run, nobody has owned for two seconds."""
        row = await self._db.one(
            """
            SELECT count(*) AS sessions FROM ownership o JOIN sessions s ON s.id = o.session_id
            WHERE s.desired = 'RUNNING' AND s.status <> 'FAILED' AND o.epoch > 0
              AND NOT lease_runs(o) AND o.lease_until < clock_timestamp() - interval '2 seconds'
            """,
            {},
        )
        return int(row["sessions"]) if row else 0

    async def newest_epoch(self, session_id: int) -> int:
        """Raises `SessionNotFound`."""
        row = await self._db.one(
            "SELECT epoch FROM ownership WHERE session_id = %(id)s", {"id": session_id}
        )
        if row is None:
            raise SessionNotFound(str(session_id))
        return int(row["epoch"])
