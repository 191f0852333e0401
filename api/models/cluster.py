"""Bodies about nodes, owners and how sessions are doing."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import Field

from api.models import WahaModel
from cluster.domain.principal import Principal
from cluster.domain.vitals import NodeVitals, Ownership, SessionVitals, TrafficMinute

__all__ = [
    "AccessInfo",
    "DrainAnswer",
    "NodeInfo",
    "OwnershipInfo",
    "SessionVitalsInfo",
    "TrafficInfo",
]


class AccessInfo(WahaModel):
    """What the caller may do."""

    tenant: str
    admin: bool = Field(description="Creates sessions and does everything to those it sees.")
    manages: bool = Field(description="Manages the tenant's keys.")
    operates: bool = Field(description="Runs the gateway: nodes, metrics, tenants.")
    sessions: list[str] | None = Field(description="Null: every session of the tenant.")
    actions: list[str]
    sandbox: bool = Field(
        description="The gateway is in sandbox mode, and the caller may steer its phones."
    )
    version: str

    @classmethod
    def of(cls, principal: Principal, *, sandbox: bool, version: str) -> Self:
        seen = principal.sessions
        return cls(
            tenant=principal.tenant,
            admin=principal.admin,
            manages=principal.manages,
            operates=principal.operates,
            sessions=None if seen is None else sorted(seen),
            actions=sorted(action.value for action in principal.actions),
            sandbox=sandbox and principal.operates,
            version=version,
        )


class SessionVitalsInfo(WahaModel):
    """A session at this moment."""

    name: str
    node: str | None = Field(description="Ray node (hex id) of the live owner; null without one.")
    nodeName: str | None
    epoch: int
    workingSince: datetime | None
    checkpointAt: datetime | None = Field(description="When the newest checkpoint was committed.")
    checkpoints: int = Field(description="Bases and deltas that are kept.")
    checkpointBytes: int
    outbox: int = Field(description="Sends that were accepted and are not sent yet.")
    memoryBytes: int | None = Field(
        description="Private memory of the session's process, or its share where sessions share "
        "one; null when it did not report lately."
    )
    smallerPromises: dict[str, str] = Field(
        description="Promises that its library does not keep (docs/promises.md): name, and what "
        "holds instead."
    )

    @classmethod
    def of(cls, found: SessionVitals) -> Self:
        return cls(
            name=found.name,
            node=found.node or None,
            nodeName=found.node_name or None,
            epoch=found.epoch,
            workingSince=found.working_since,
            checkpointAt=found.checkpoint_at,
            checkpoints=found.checkpoints,
            checkpointBytes=found.checkpoint_bytes,
            outbox=found.outbox,
            memoryBytes=found.memory,
            smallerPromises=found.smaller,
        )


class TrafficInfo(WahaModel):
    """One minute."""

    at: datetime
    received: int = Field(description="Messages of others.")
    sent: int = Field(description="Messages of these accounts.")
    delivered: int = Field(description="Events that webhooks took.")
    lagSeconds: float = Field(description="The longest that one of those had waited.")

    @classmethod
    def of(cls, found: TrafficMinute) -> Self:
        return cls(
            at=found.at,
            received=found.received,
            sent=found.sent,
            delivered=found.delivered,
            lagSeconds=round(found.lag, 3),
        )


class NodeSession(WahaModel):
    tenant: str
    name: str
    status: str


class NodeInfo(WahaModel):
    """A node that is alive."""

    id: str
    name: str
    address: str
    slots: int = Field(description="Sessions it has room for.")
    drained: bool = Field(description="It takes no sessions and hands over those it has.")
    startedAt: datetime
    sessions: list[NodeSession]
    health: dict[str, Any] = Field(description="What its agent reported last; empty when silent.")

    @classmethod
    def of(cls, found: NodeVitals) -> Self:
        return cls(
            id=found.node,
            name=found.name,
            address=found.address,
            slots=found.slots,
            drained=found.drained,
            startedAt=found.started_at,
            sessions=[
                NodeSession(tenant=one.tenant, name=one.name, status=one.status)
                for one in found.sessions
            ],
            health=found.health,
        )


class DrainAnswer(WahaModel):
    node: str
    drained: bool


class OwnershipInfo(WahaModel):
    """A session got an owner."""

    tenant: str
    session: str
    epoch: int
    node: str
    nodeName: str | None
    previousNode: str | None
    previousNodeName: str | None
    kind: Literal["first", "handover", "start", "takeover"] = Field(
        description="`first`; `handover`: the owner before passed on its very latest store; "
        "`start`: it had let go; `takeover`: it was lost."
    )
    at: datetime

    @classmethod
    def of(cls, found: Ownership) -> Self:
        return cls.model_validate(
            {
                "tenant": found.tenant,
                "session": found.session,
                "epoch": found.epoch,
                "node": found.node,
                "nodeName": found.node_name or None,
                "previousNode": found.previous_node or None,
                "previousNodeName": found.previous_node_name or None,
                "kind": found.kind,
                "at": found.at,
            }
        )
