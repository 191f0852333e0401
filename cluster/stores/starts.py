"""Starts of sessions' processes: who may begin when, and how often it went wrong.

A process asks before it claims its session. So the pause after failures holds for whoever starts
the process, Ray's own restarts included, and a process that is killed need not say goodbye: the
next one sees that its predecessor did not.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta

from cluster.domain.errors import SessionNotFound, Unavailable
from cluster.domain.printable import printable
from cluster.domain.session import DesiredState, SessionStatus
from cluster.domain.start_pause import StartPolicy
from cluster.stores.database import Database, Row

__all__ = ["Admission", "Start", "StartStore"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Admission:
    """What a process that asked is answered."""

    #: Seconds to wait before it claims the session.
    wait: float = 0.0
    #: Failures in a row so far.
    failures: int = 0
    #: What the last one said, if it said anything.
    error: str = ""
    #: Its node is drained: it must not begin here.
    held: bool = False
    #: There were too many failures: the session is to end as FAILED.
    given_up: bool = False
    #: The session is not to run (any more).
    unwanted: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """The newest start of a session, and its lease, as the supervisor looks at them."""

    session_id: int
    #: Node of the owner; empty without one.
    owner_node: str
    epoch: int
    #: The owner has released, or there never was one.
    released: bool
    #: Seconds since the lease ended; negative while it holds.
    lapsed: float
    #: Seconds until the process may claim; not positive when it may.
    waits: float
    #: See `Admission.held`; empty when it is not.
    held_on: str


class StartStore:
    """Tables `session_starts` and `start_pace`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def begin(self, session_id: int, node: str, policy: StartPolicy) -> Admission:
        """A process on `node` wants to run the session. Raises `SessionNotFound`, and `Unavailable`
        when others began it again and again meanwhile."""
        await self._db.run(
            "INSERT INTO session_starts (session_id) SELECT id FROM sessions "
            "WHERE id = %(id)s ON CONFLICT DO NOTHING",
            {"id": session_id},
        )
        for _ in range(_ATTEMPTS):
            row = await self._db.one(_ROW, {"id": session_id, "node": node})
            if row is None:
                raise SessionNotFound(str(session_id))
            if (
                row["desired"] != DesiredState.RUNNING.value
                or row["status"] == SessionStatus.FAILED.value
            ):
                return Admission(unwanted=True)
            if row["drained"]:
                await self._db.run(
                    "UPDATE session_starts SET parked_on = %(node)s WHERE session_id = %(id)s",
                    {"id": session_id, "node": node},
                )
                return Admission(held=True)
            if (admission := await self._admit(session_id, node, policy, row)) is not None:
                return admission
        raise Unavailable("another process of the session begins all the while", retry_after=1)

    async def _admit(
        self, session_id: int, node: str, policy: StartPolicy, row: Row
    ) -> Admission | None:
        """None: what `row` says is not so any more. Each of these is one statement: whoever is cut
        off in between holds up nobody."""
        settled = row["worked"] is not None and row["worked"] >= timedelta(seconds=policy.settled)
        failures = (0 if settled else row["failures"]) + int(row["failed"])
        seen = {"id": session_id, "failures": failures, "version": row["version"]}
        if failures >= policy.give_up_after:
            if not await self._db.run(_END, seen):
                return None
            return Admission(given_up=True, failures=failures, error=row["error"])
        pause = policy.pause(failures, random.random())  # noqa: S311 - nothing to guess here
        begun = await self._db.one(
            _BEGIN,
            seen
            | {
                "node": node,
                "pause": timedelta(seconds=pause),
                "step": timedelta(seconds=1 / policy.per_second),
                "burst": timedelta(seconds=policy.burst / policy.per_second),
            },
        )
        if begun is None:
            return None
        wait = max(0.0, begun["wait"].total_seconds())
        return Admission(wait=wait, failures=failures, error=row["error"])

    async def give_up(self, session_id: int, failures: int, reason: str) -> bool:
        """End the session as FAILED after so many failures; False when it is FAILED, or not to run,
        already, or somebody asked for it since they were counted."""
        touched = await self._db.run(
            """
            UPDATE sessions SET status = 'FAILED', reason = %(reason)s,
                   updated_at = clock_timestamp()
            WHERE id = %(id)s AND desired = 'RUNNING' AND status <> 'FAILED' AND EXISTS (
                SELECT 1 FROM session_starts
                WHERE session_id = %(id)s AND failures >= %(failures)s)
            """,
            {"id": session_id, "failures": failures, "reason": printable(reason)},
        )
        return touched > 0

    async def crashed(self, session_id: int, error: str) -> None:
        """Remember why the process is about to end; the next one counts it."""
        await self._db.run(
            "UPDATE session_starts SET error = %(error)s WHERE session_id = %(id)s",
            {"id": session_id, "error": printable(error)[:1000]},
        )

    async def forgive(self, session_id: int) -> None:
        """The process is ended from outside: that is no failure."""
        await self._db.run(
            "UPDATE session_starts SET open = false, parked_on = '' WHERE session_id = %(id)s",
            {"id": session_id},
        )

    async def failures(self, session_id: int) -> int:
        """Failures in a row."""
        row = await self._db.one(
            "SELECT failures FROM session_starts WHERE session_id = %(id)s", {"id": session_id}
        )
        return int(row["failures"]) if row else 0

    async def list(self) -> list[Start]:
        """Of every session that is to run."""
        rows = await self._db.all(
            """
            SELECT o.session_id, o.node AS owner_node, o.epoch, o.released,
                   coalesce(st.parked_on, '') AS held_on,
                   CASE WHEN isfinite(o.lease_until)
                             AND o.lease_until <= clock_timestamp() + o.lease_ttl THEN
                        extract(epoch FROM clock_timestamp() - o.lease_until)::float8
                        ELSE 'infinity' END AS lapsed,
                   -- Before it began: the clock was set back.
                   CASE WHEN isfinite(st.not_before) AND clock_timestamp() >= st.begun_at THEN
                        extract(epoch FROM st.not_before - clock_timestamp())::float8
                        ELSE 0 END AS waits
            FROM ownership o JOIN sessions s ON s.id = o.session_id
                 LEFT JOIN session_starts st ON st.session_id = o.session_id
            WHERE s.desired = 'RUNNING' ORDER BY o.session_id
            """,
            {},
        )
        return [Start(**row) for row in rows]


# A row that others change between our read and our write is read again, so often.
_ATTEMPTS = 5

_END = """
UPDATE session_starts SET failures = %(failures)s, open = false
WHERE session_id = %(id)s AND xmin::text = %(version)s
"""

# A start failed when its process did not release what it claimed, or claimed nothing; unless its
# node or PostgreSQL itself went down under it.
_ROW = """
SELECT st.failures, st.error, s.desired, s.status, st.xmin::text AS version,
       clock_timestamp() - s.working_since AS worked,
       (st.open AND NOT (o.epoch > st.epoch AND o.released)
        AND (st.node = '' OR EXISTS (SELECT 1 FROM workers w
                                     WHERE w.node = st.node AND w.lost_at IS NULL))
        AND st.begun_at > pg_postmaster_start_time()) AS failed,
       EXISTS (SELECT 1 FROM drained_nodes d WHERE d.node = %(node)s)
         OR EXISTS (SELECT 1 FROM workers w WHERE w.node = %(node)s AND w.lost_at IS NULL
                                              AND takes_none(w)) AS drained
FROM session_starts st JOIN sessions s ON s.id = st.session_id
     JOIN ownership o ON o.session_id = st.session_id
WHERE st.session_id = %(id)s
"""

# The pace is a generic cell rate: a start takes one step of time, and waits for what is left of
# the steps before it beyond the burst.
_BEGIN = """
WITH mine AS (
    SELECT session_id FROM session_starts
    WHERE session_id = %(id)s AND xmin::text = %(version)s FOR UPDATE
), shown AS (
    -- Whoever looks shall not see the WORKING of a dead owner all the while.
    UPDATE sessions SET status = 'STARTING', updated_at = clock_timestamp()
    WHERE id IN (SELECT session_id FROM mine) AND status = 'WORKING'
      AND %(pause)s > interval '0'
), pace AS (
    -- No more than there are sessions can be waiting: the clock was set back.
    UPDATE start_pace SET next_at = %(step)s + CASE
        WHEN next_at BETWEEN clock_timestamp() AND clock_timestamp() + %(burst)s
                             + interval '1 minute' + (SELECT count(*) FROM sessions) * %(step)s
        THEN next_at ELSE clock_timestamp() END
    WHERE EXISTS (SELECT 1 FROM mine)
    RETURNING next_at - %(burst)s - clock_timestamp() AS ahead
)
UPDATE session_starts SET
    failures = %(failures)s, open = true, node = %(node)s, parked_on = '',
    error = CASE WHEN %(failures)s = 0 THEN '' ELSE error END,
    epoch = (SELECT epoch FROM ownership WHERE session_id = %(id)s),
    begun_at = clock_timestamp(),
    not_before = clock_timestamp() + greatest(%(pause)s, (SELECT ahead FROM pace), interval '0')
WHERE session_id IN (SELECT session_id FROM mine)
RETURNING not_before - clock_timestamp() AS wait
"""
