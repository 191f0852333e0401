"""The API keys of a tenant, and its audit log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from cluster.domain.errors import Invalid
from cluster.domain.principal import Action
from cluster.domain.session import check_session_name
from cluster.security import keys
from cluster.stores import Stores
from cluster.stores.api_keys import ApiKeyRecord
from cluster.stores.audit import AuditEntry

__all__ = ["Keys"]


class Keys:
    """Keys are shown once, when they are made; what is kept is a digest."""

    def __init__(self, stores: Callable[[], Awaitable[Stores]], tenant: str) -> None:
        self._stores = stores
        self._tenant = tenant

    async def create(
        self,
        *,
        admin: bool = False,
        session: str | None = None,
        actions: frozenset[Action] = frozenset(),
        active: bool = True,
    ) -> tuple[ApiKeyRecord, str]:
        """A new key with its secret. One that is not `admin` needs a session. Raises `Invalid`."""
        secret = keys.new_key()
        record = await (await self._stores()).api_keys.create(
            key_id=keys.new_key_id(),
            tenant=self._tenant,
            digest=keys.digest_of(secret),
            hint=keys.hint_of(secret),
            admin=admin,
            session=_session(admin, session),
            actions=actions,
            active=active,
        )
        return record, secret

    async def list(self) -> Sequence[ApiKeyRecord]:
        return await (await self._stores()).api_keys.list(self._tenant)

    async def update(
        self,
        key_id: str,
        *,
        admin: bool,
        session: str | None,
        actions: frozenset[Action],
        active: bool,
    ) -> ApiKeyRecord:
        """Raises `NotFound`, `Invalid`."""
        return await (await self._stores()).api_keys.update(
            self._tenant,
            key_id,
            admin=admin,
            session=_session(admin, session),
            actions=actions,
            active=active,
        )

    async def delete(self, key_id: str) -> None:
        """Raises `NotFound`."""
        await (await self._stores()).api_keys.delete(self._tenant, key_id)

    async def find(self, secret: str) -> ApiKeyRecord | None:
        """The key of any tenant that has this secret."""
        if not keys.is_issued(secret):
            return None
        return await (await self._stores()).api_keys.find(keys.digest_of(secret))

    async def note(self, entry: AuditEntry) -> None:
        """Write to the audit log."""
        await (await self._stores()).audit.add(entry)

    async def audit(self, *, before: int | None = None, limit: int = 100) -> Sequence[AuditEntry]:
        """The audit log, newest first."""
        return await (await self._stores()).audit.list(self._tenant, before=before, limit=limit)


def _session(admin: bool, session: str | None) -> str | None:
    if session:
        return check_session_name(session)
    if not admin:
        raise Invalid("a key that is no admin's needs a session", field="session")
    return None
