"""API keys and the audit log in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from cluster.domain.errors import NotFound
from cluster.security import keys
from cluster.stores.api_keys import ApiKeyRecord
from cluster.stores.audit import AuditEntry


@dataclass
class FakeKeys:
    """Of one tenant, in memory."""

    tenant: str = "default"
    records: dict[str, ApiKeyRecord] = field(default_factory=dict)
    entries: list[AuditEntry] = field(default_factory=list)

    async def create(self, **asked: Any) -> tuple[ApiKeyRecord, str]:
        secret = keys.new_key()
        self.records[keys.digest_of(secret)] = record = ApiKeyRecord(
            **{"admin": False, "session": None, "actions": frozenset(), "active": True} | asked,
            id=keys.new_key_id(),
            tenant=self.tenant,
            hint=keys.hint_of(secret),
            created_at=datetime.now(UTC),
        )
        return record, secret

    async def list(self) -> Any:
        return list(self.records.values())

    async def update(self, key_id: str, **asked: Any) -> ApiKeyRecord:
        for digest, record in self.records.items():
            if record.id == key_id:
                self.records[digest] = replace(record, **asked)
                return self.records[digest]
        raise NotFound

    async def delete(self, key_id: str) -> None:
        self.records = {d: r for d, r in self.records.items() if r.id != key_id}

    async def find(self, secret: str) -> ApiKeyRecord | None:
        return self.records.get(keys.digest_of(secret))

    async def note(self, entry: AuditEntry) -> None:
        self.entries.append(entry)

    async def audit(self, *, before: int | None = None, limit: int = 100) -> Any:
        return self.entries[:limit]
