"""What the HTTP front needs of API keys: `cluster.client.keys`, as a protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cluster.security.principal import Action
from cluster.stores.api_keys import ApiKeyRecord
from cluster.stores.audit import AuditEntry

__all__ = ["KeysPort"]


class KeysPort(Protocol):
    """See `cluster.client.keys.Keys`."""

    async def create(
        self,
        *,
        admin: bool = False,
        session: str | None = None,
        actions: frozenset[Action] = frozenset(),
        active: bool = True,
    ) -> tuple[ApiKeyRecord, str]: ...

    async def list(self) -> Sequence[ApiKeyRecord]: ...

    async def update(
        self,
        key_id: str,
        *,
        admin: bool,
        session: str | None,
        actions: frozenset[Action],
        active: bool,
    ) -> ApiKeyRecord: ...

    async def delete(self, key_id: str) -> None: ...

    async def find(self, secret: str) -> ApiKeyRecord | None: ...

    async def note(self, entry: AuditEntry) -> None: ...

    async def audit(
        self, *, before: int | None = None, limit: int = 100
    ) -> Sequence[AuditEntry]: ...
