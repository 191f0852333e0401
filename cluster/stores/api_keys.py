"""API keys: their digests and what they allow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cluster.domain.errors import Conflict, NotFound
from cluster.domain.principal import Action
from cluster.stores.database import Database, Row

__all__ = ["ApiKeyRecord", "ApiKeyStore"]

#: Of one tenant.
_MOST = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiKeyRecord:
    """A key without its secret."""

    id: str
    tenant: str
    #: Its beginning.
    hint: str
    admin: bool
    #: None: every session of the tenant.
    session: str | None
    actions: frozenset[Action]
    active: bool
    created_at: datetime


class ApiKeyStore:
    """Table `api_keys`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def create(
        self,
        *,
        key_id: str,
        tenant: str,
        digest: str,
        hint: str,
        admin: bool,
        session: str | None,
        actions: frozenset[Action],
        active: bool,
    ) -> ApiKeyRecord:
        """Raises `Conflict` when the tenant has too many."""
        row = await self._db.one(
            """
            INSERT INTO api_keys (id, tenant, digest, hint, admin, session, actions, active)
            SELECT %(id)s, %(tenant)s, %(digest)s, %(hint)s, %(admin)s, %(session)s, %(actions)s,
                   %(active)s
            WHERE (SELECT count(*) FROM api_keys WHERE tenant = %(tenant)s) < %(most)s
            RETURNING id, tenant, hint, admin, session, actions, active, created_at
            """,
            {
                "id": key_id,
                "tenant": tenant,
                "digest": digest,
                "hint": hint,
                "admin": admin,
                "session": session,
                "actions": sorted(actions),
                "active": active,
                "most": _MOST,
            },
        )
        if row is None:
            raise Conflict(f"the tenant has {_MOST} keys already: delete some")
        return _record(row)

    async def find(self, digest: str) -> ApiKeyRecord | None:
        """The key with that digest, active or not."""
        row = await self._db.one(
            """
            SELECT id, tenant, hint, admin, session, actions, active, created_at
            FROM api_keys WHERE digest = %(digest)s
            """,
            {"digest": digest},
        )
        return _record(row) if row else None

    async def list(self, tenant: str) -> list[ApiKeyRecord]:
        """The tenant's, oldest first."""
        rows = await self._db.all(
            """
            SELECT id, tenant, hint, admin, session, actions, active, created_at
            FROM api_keys WHERE tenant = %(tenant)s ORDER BY created_at, id
            """,
            {"tenant": tenant},
        )
        return [_record(row) for row in rows]

    async def update(
        self,
        tenant: str,
        key_id: str,
        *,
        admin: bool,
        session: str | None,
        actions: frozenset[Action],
        active: bool,
    ) -> ApiKeyRecord:
        """Raises `NotFound`."""
        row = await self._db.one(
            """
            UPDATE api_keys SET admin = %(admin)s, session = %(session)s, actions = %(actions)s,
                   active = %(active)s
            WHERE tenant = %(tenant)s AND id = %(id)s
            RETURNING id, tenant, hint, admin, session, actions, active, created_at
            """,
            {
                "tenant": tenant,
                "id": key_id,
                "admin": admin,
                "session": session,
                "actions": sorted(actions),
                "active": active,
            },
        )
        if row is None:
            raise NotFound("there is no such key")
        return _record(row)

    async def delete(self, tenant: str, key_id: str) -> None:
        """Raises `NotFound`."""
        touched = await self._db.run(
            "DELETE FROM api_keys WHERE tenant = %(tenant)s AND id = %(id)s",
            {"tenant": tenant, "id": key_id},
        )
        if not touched:
            raise NotFound("there is no such key")


def _record(row: Row) -> ApiKeyRecord:
    return ApiKeyRecord(
        id=row["id"],
        tenant=row["tenant"],
        hint=row["hint"],
        admin=row["admin"],
        session=row["session"],
        actions=frozenset(Action(name) for name in row["actions"]),
        active=row["active"],
        created_at=row["created_at"],
    )
