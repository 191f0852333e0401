"""Who did what to sessions and keys, and with what outcome."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cluster.domain.printable import printable
from cluster.stores.database import Database

__all__ = ["AuditEntry", "AuditStore"]


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditEntry:
    """One control action."""

    tenant: str
    who: str
    address: str
    #: Method and template of the path.
    action: str
    session: str
    #: HTTP status of the answer.
    status: int
    request_id: str
    id: int = 0
    happened_at: datetime | None = None


class AuditStore:
    """Table `audit_log`: written and read, never changed."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def add(self, entry: AuditEntry) -> None:
        await self._db.run(
            """
            INSERT INTO audit_log (tenant, who, address, action, session, status, request_id)
            VALUES (%(tenant)s, %(who)s, %(address)s, %(action)s, %(session)s, %(status)s,
                    %(request_id)s)
            """,
            {
                "tenant": entry.tenant,
                "who": printable(entry.who),
                "address": entry.address,
                "action": entry.action,
                "session": printable(entry.session),
                "status": entry.status,
                "request_id": entry.request_id,
            },
        )

    async def list(self, tenant: str, *, before: int | None, limit: int) -> list[AuditEntry]:
        """The tenant's, newest first, with ids below `before`."""
        rows = await self._db.all(
            """
            SELECT id, tenant, who, address, action, session, status, request_id, happened_at
            FROM audit_log
            WHERE tenant = %(tenant)s AND (%(before)s::bigint IS NULL OR id < %(before)s)
            ORDER BY id DESC LIMIT %(limit)s
            """,
            {"tenant": tenant, "before": before, "limit": limit},
        )
        return [AuditEntry(**row) for row in rows]
