"""Session metadata: what callers asked for, and the state the owner reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from datetime import timedelta
from typing import Any

from psycopg.errors import UniqueViolation

from cluster.domain.errors import Conflict, SessionNotFound, Unstorable
from cluster.domain.printable import printable
from cluster.domain.session import DesiredState, Me, SessionRecord, SessionStatus
from cluster.stores.database import Database, Row, fenced, hold_fence, jsonb
from cluster.stores.notifier import EventNotifier
from cluster.stores.ownership import Lease

__all__ = ["SessionStore", "me_of"]


class SessionStore:
    """Table `sessions` (with its rows in `ownership` and `session_streams`)."""

    def __init__(self, database: Database, notifier: EventNotifier) -> None:
        self._db = database
        self._notifier = notifier

    async def create(
        self, tenant: str, name: str, config: dict[str, Any], desired: DesiredState
    ) -> SessionRecord:
        """Create a session. Raises `Conflict` when the tenant has one of that name."""
        status = (
            SessionStatus.STARTING if desired is DesiredState.RUNNING else SessionStatus.STOPPED
        )
        try:
            row = await self._db.one(
                """
                WITH made AS (
                    INSERT INTO sessions (tenant, name, desired, status, config)
                    VALUES (%(tenant)s, %(name)s, %(desired)s, %(status)s, %(config)s)
                    RETURNING id, tenant, name, desired, status, reason, config, me, exported_at,
                              created_at, updated_at
                ), owner AS (INSERT INTO ownership (session_id) SELECT id FROM made),
                   stream AS (INSERT INTO session_streams (session_id) SELECT id FROM made)
                SELECT id, tenant, name, desired, status, reason, config, me, exported_at,
                       created_at, updated_at, 0::bigint AS epoch, '' AS node, 0::bigint AS host
                FROM made
                """,
                {
                    "tenant": tenant,
                    "name": name,
                    "desired": desired.value,
                    "status": status.value,
                    "config": jsonb(config),
                },
            )
        except Unstorable as error:
            if not isinstance(error.__cause__, UniqueViolation):
                raise
            raise Conflict(f"session '{name}' already exists", field="name") from error
        assert row is not None  # noqa: S101 - RETURNING of one inserted row
        return _record(row)

    async def get(self, tenant: str, name: str) -> SessionRecord:
        """Raises `SessionNotFound`."""
        row = await self._db.one(
            """
            SELECT s.id, s.tenant, s.name, s.desired, s.status, s.reason, s.config, s.me,
                   s.exported_at, s.created_at, s.updated_at, s.xmin::text AS version,
                   o.epoch, o.node, coalesce(h.id, 0) AS host
            FROM sessions s JOIN ownership o ON o.session_id = s.id
                 LEFT JOIN placements p ON p.session_id = s.id
                 LEFT JOIN hosts h ON h.id = p.host AND h.capacity > 1
            WHERE s.tenant = %(tenant)s AND s.name = %(name)s
            """,
            {"tenant": tenant, "name": name},
        )
        if row is None:
            raise SessionNotFound(name)
        return _record(row)

    async def get_by_id(self, session_id: int) -> SessionRecord:
        """Raises `SessionNotFound`."""
        row = await self._db.one(
            """
            SELECT s.id, s.tenant, s.name, s.desired, s.status, s.reason, s.config, s.me,
                   s.exported_at, s.created_at, s.updated_at, s.xmin::text AS version,
                   o.epoch, o.node, coalesce(h.id, 0) AS host
            FROM sessions s JOIN ownership o ON o.session_id = s.id
                 LEFT JOIN placements p ON p.session_id = s.id
                 LEFT JOIN hosts h ON h.id = p.host AND h.capacity > 1
            WHERE s.id = %(id)s
            """,
            {"id": session_id},
        )
        if row is None:
            raise SessionNotFound(str(session_id))
        return _record(row)

    async def list(self, tenant: str | None) -> list[SessionRecord]:
        """The tenant's sessions by name; of all tenants when it is None."""
        rows = await self._db.all(
            """
            SELECT s.id, s.tenant, s.name, s.desired, s.status, s.reason, s.config, s.me,
                   s.exported_at, s.created_at, s.updated_at,
                   o.epoch, o.node, coalesce(h.id, 0) AS host
            FROM sessions s JOIN ownership o ON o.session_id = s.id
                 LEFT JOIN placements p ON p.session_id = s.id
                 LEFT JOIN hosts h ON h.id = p.host AND h.capacity > 1
            WHERE %(tenant)s::text IS NULL OR s.tenant = %(tenant)s
            ORDER BY s.tenant, s.name
            """,
            {"tenant": tenant},
        )
        return [_record(row) for row in rows]

    async def update_config(self, session_id: int, config: dict[str, Any]) -> None:
        """Raises `SessionNotFound`."""
        touched = await self._db.run(
            """
            UPDATE sessions SET config = %(config)s, updated_at = clock_timestamp()
            WHERE id = %(id)s
            """,
            {"id": session_id, "config": jsonb(config)},
        )
        if not touched:
            raise SessionNotFound(str(session_id))
        self._notifier.endpoints_changed(session_id)

    async def set_desired(self, session_id: int, desired: DesiredState) -> None:
        """Say what the supervisor shall bring the session to. RUNNING lifts FAILED and STOPPED;
        earlier failures to start are forgotten: who asks has seen to their cause.

        Raises `SessionNotFound`, and `Conflict` when an exported session is to run."""
        touched = await self._db.run(
            """
            WITH asked AS (DELETE FROM session_starts WHERE session_id = %(id)s)
            UPDATE sessions SET
                desired = %(desired)s,
                status = CASE WHEN %(desired)s = 'RUNNING' AND status IN ('FAILED', 'STOPPED')
                         THEN 'STARTING' ELSE status END,
                reason = CASE WHEN %(desired)s = 'RUNNING' AND status IN ('FAILED', 'STOPPED')
                         THEN '' ELSE reason END,
                updated_at = clock_timestamp()
            WHERE id = %(id)s AND (exported_at IS NULL OR %(desired)s <> 'RUNNING')
            """,
            {"id": session_id, "desired": desired.value},
        )
        if not touched:
            await self.get_by_id(session_id)
            raise Conflict(
                "the session was exported: its device may be running elsewhere. Delete it here, "
                "or take the export back first if no archive of it is used"
            )

    async def mark_exported(self, session_id: int) -> bool:
        """Bar a session from starting; False when it is to run, or has a living owner."""
        touched = await self._db.run(
            """
            UPDATE sessions s SET exported_at = clock_timestamp(), updated_at = clock_timestamp()
            FROM ownership o
            WHERE s.id = %(id)s AND o.session_id = s.id AND s.desired = 'STOPPED'
              AND (o.released OR NOT lease_runs(o))
            """,
            {"id": session_id},
        )
        return touched > 0

    async def unmark_exported(self, session_id: int) -> None:
        """It may start again."""
        await self._db.run(
            "UPDATE sessions SET exported_at = NULL WHERE id = %(id)s", {"id": session_id}
        )

    async def holders_of_device(self, jid: str) -> dict[int, str]:
        """Sessions, of any tenant, that run or could run a linked device of that JID: tenants by
        id."""
        rows = await self._db.all(
            """
            SELECT id, tenant FROM sessions
            WHERE me->>'jid' = %(jid)s AND exported_at IS NULL ORDER BY id
            """,
            {"jid": jid},
        )
        return {int(row["id"]): str(row["tenant"]) for row in rows}

    async def set_unowned(self, session_id: int, status: SessionStatus) -> bool:
        """Report the status of a session without a live owner; False when one lives, it was
        reported before, or is STOPPED and somebody wants the session to run by now."""
        touched = await self._db.run(
            """
            UPDATE sessions s SET status = %(status)s, reason = '', updated_at = clock_timestamp()
            FROM ownership o
            WHERE s.id = %(id)s AND o.session_id = s.id AND s.status <> %(status)s
              AND (o.released OR NOT lease_runs(o))
              AND (%(status)s <> 'STOPPED' OR s.desired = 'STOPPED')
            """,
            {"id": session_id, "status": status.value},
        )
        return touched > 0

    async def forget_device(self, session_id: int, epoch: int) -> Sequence[str]:
        """No device is linked any more: its checkpoints, labels, and acquaintances are forgotten.
        Returns the keys of the checkpoints' objects. Raises `NotOwner` when somebody has claimed
        the session since `epoch`: what is there then may be another device's."""
        values = {"id": session_id}
        async with self._db.connection() as connection, connection.transaction():
            await hold_fence(connection, session_id, epoch)
            cursor = await connection.execute(
                "DELETE FROM checkpoints WHERE session_id = %(id)s RETURNING object_key", values
            )
            keys = [row["object_key"] for row in await cursor.fetchall()]
            await connection.execute("DELETE FROM labels WHERE session_id = %(id)s", values)
            # Another account may be linked next: its acquaintances are its own.
            await connection.execute("DELETE FROM chat_openings WHERE session_id = %(id)s", values)
            await connection.execute("UPDATE sessions SET me = NULL WHERE id = %(id)s", values)
        return keys

    async def lapsed(self, session_id: int, lease: Lease, reason: str, settled: float) -> bool:
        """Nobody owns the session any more: it is shown as STARTING. `settled`: a session that was
        WORKING for so many seconds has not failed to start. False when somebody renewed, claimed
        or said something since."""
        touched = await self._db.run(
            """
            WITH lease AS (
                SELECT o.session_id, s.working_since FROM ownership o
                JOIN sessions s ON s.id = o.session_id
                WHERE o.session_id = %(id)s AND o.epoch = %(epoch)s
                  AND o.xmin::text::bigint = %(version)s
                FOR UPDATE OF o
            ), worked AS (
                UPDATE session_starts st SET failures = 0 FROM lease
                WHERE st.session_id = lease.session_id
                  AND lease.working_since < clock_timestamp() - %(settled)s
            )
            UPDATE sessions s SET status = 'STARTING', reason = %(reason)s,
                   updated_at = clock_timestamp()
            FROM lease WHERE s.id = lease.session_id AND s.desired = 'RUNNING'
              AND s.status IN ('WORKING', 'SCAN_QR_CODE')
            """,
            {
                "id": session_id,
                "epoch": lease.epoch,
                "version": lease.version,
                "reason": reason,
                "settled": timedelta(seconds=settled),
            },
        )
        return touched > 0

    async def set_status(
        self,
        session_id: int,
        epoch: int,
        status: SessionStatus,
        *,
        reason: str = "",
        me: Me | None = None,
        logged_out: bool = False,
    ) -> SessionStatus:
        """The owner's report. Returns what was stored: an owner that ends as STOPPED while somebody
        asks for a start leaves STARTING, because the last wish counts. `logged_out`: the wish is to
        stop, said with the logout. Raises `NotOwner` when `epoch` is not the newest."""
        row = await self._db.one(
            """
            WITH fence AS (
                SELECT session_id FROM session_streams
                WHERE session_id = %(id)s AND epoch = %(epoch)s FOR SHARE
            ), changed AS (
                UPDATE sessions SET
                    desired = CASE WHEN %(logged_out)s THEN 'STOPPED' ELSE desired END,
                    status = CASE WHEN %(status)s = 'STOPPED' AND desired = 'RUNNING'
                                  AND NOT %(logged_out)s THEN 'STARTING' ELSE %(status)s END,
                    reason = %(reason)s, me = %(me)s, updated_at = clock_timestamp()
                WHERE id IN (SELECT session_id FROM fence) RETURNING status
            )
            SELECT EXISTS (SELECT 1 FROM fence) AS owner, (SELECT status FROM changed) AS status
            """,
            {
                "id": session_id,
                "epoch": epoch,
                "status": status.value,
                "reason": printable(reason),
                "me": jsonb(asdict(me)) if me else None,
                "logged_out": logged_out,
            },
        )
        return SessionStatus(fenced(row, session_id, epoch)["status"])

    async def delete(self, session_id: int) -> None:
        """Remove the session with its history, outbox, events and checkpoints."""
        await self._db.run("DELETE FROM sessions WHERE id = %(id)s", {"id": session_id})


def me_of(kept: Mapping[str, Any] | None) -> Me | None:
    """The account of a row; what a newer version keeps beside it is left alone."""
    if not kept:
        return None
    return Me(**{field.name: kept[field.name] for field in fields(Me) if field.name in kept})


def _record(row: Row) -> SessionRecord:
    return SessionRecord(
        id=row["id"],
        tenant=row["tenant"],
        name=row["name"],
        desired=DesiredState(row["desired"]),
        status=SessionStatus(row["status"]),
        # An earlier version kept what is no object; one such row must not end what reads many.
        config=row["config"] if isinstance(row["config"], dict) else {},
        me=me_of(row["me"]),
        epoch=row["epoch"],
        node=row["node"],
        host=row["host"],
        reason=row["reason"],
        exported_at=row["exported_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        version=row.get("version", ""),
    )
