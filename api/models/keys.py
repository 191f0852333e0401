"""API keys, as WAHA shows them."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from api.models import WahaModel
from cluster.domain.principal import SCOPES, USUAL_ACTIONS, Action
from cluster.stores.api_keys import ApiKeyRecord
from cluster.stores.audit import AuditEntry

__all__ = ["ApiKeyAnswer", "ApiKeyRequest", "AuditAnswer", "ScopedApiKeyRequest", "SessionActions"]


class SessionActions(WahaModel):
    """What a key may do to its session."""

    read: bool | None = Field(None, description="Read session data: messages, contacts, chats …")
    send: bool | None = Field(None, description="Send messages; change groups, labels, profile …")
    control: bool | None = Field(None, description="Start, stop, restart, log out, authenticate.")
    setting: bool | None = Field(None, description="Change the session's settings and webhooks.")
    app: bool | None = Field(None, description="Manage apps.")
    delete: bool | None = Field(None, description="Delete the session.")
    media: bool | None = Field(
        None,
        description="Download files: with WAHA every key does, one with all actions `false` is for "
        "that alone. `false` takes it away unless `read` is given. Ours.",
    )

    def actions(self) -> frozenset[Action]:
        chosen = {name for name, value in self if value}
        if self.media is None:
            chosen.add("media")
        return frozenset().union(*(SCOPES[name] for name in chosen))

    @classmethod
    def of(cls, actions: frozenset[Action]) -> SessionActions:
        return cls(**{name: Action(name) in actions for name in cls.model_fields})


class ScopedApiKeyRequest(WahaModel):
    session: str = Field(examples=["default"])


class ApiKeyRequest(WahaModel):
    isAdmin: bool = Field(examples=[False])
    session: str | None = Field(None, examples=["default"])
    isActive: bool = Field(True, examples=[True])
    actions: SessionActions | None = Field(
        None, description="Without it everything in the session but deleting it."
    )
    tenant: str | None = Field(
        None, description="Of which tenant; the operator's to choose. Ours.", examples=["acme"]
    )

    def granted(self) -> frozenset[Action]:
        return USUAL_ACTIONS if self.actions is None else self.actions.actions()


class ApiKeyAnswer(WahaModel):
    """A key. `key` is whole in the answer that made it, and its beginning in every other."""

    id: str = Field(examples=["key_id_00000000000000000000000000"])
    key: str = Field(examples=["key_11111111111AAAAAAAAAAAAAAAAAAAAA"])
    isActive: bool
    isAdmin: bool
    session: str | None = None
    actions: SessionActions | None = None

    @classmethod
    def of(cls, record: ApiKeyRecord, secret: str | None = None) -> ApiKeyAnswer:
        return cls(
            id=record.id,
            key=secret or record.hint,
            isActive=record.active,
            isAdmin=record.admin,
            session=record.session,
            actions=SessionActions.of(record.actions),
        )


class AuditAnswer(WahaModel):
    """One control action."""

    id: int
    happenedAt: datetime | None
    who: str = Field(description="Id of the key, `operator`, or `jwt:` and the subject.")
    address: str
    action: str = Field(examples=["POST /api/sessions/{session}/stop"])
    session: str
    status: int = Field(description="HTTP status of the answer.")
    requestId: str

    @classmethod
    def of(cls, entry: AuditEntry) -> AuditAnswer:
        return cls(
            id=entry.id,
            happenedAt=entry.happened_at,
            who=entry.who,
            address=entry.address,
            action=entry.action,
            session=entry.session,
            status=entry.status,
            requestId=entry.request_id,
        )
