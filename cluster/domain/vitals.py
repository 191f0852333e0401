"""How sessions and nodes are doing, beyond their status: for people who look."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

__all__ = ["NodeVitals", "Ownership", "SessionVitals", "Tenure", "TrafficMinute"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionVitals:
    """One session at this moment."""

    id: int
    name: str
    #: The owner's node by id; empty without an owner.
    node: str
    #: Its name; empty when it is unknown.
    node_name: str
    epoch: int
    #: Since when it is WORKING; None when it is not.
    working_since: datetime | None
    #: When the newest checkpoint was committed; None without one.
    checkpoint_at: datetime | None
    #: Objects that are kept (bases and deltas), and their bytes.
    checkpoints: int
    checkpoint_bytes: int
    #: Accepted and not sent yet.
    outbox: int
    #: Private memory of the session's process in bytes; None when it did not report lately.
    memory: int | None = None
    #: Promises that its library does not keep: name → what holds instead, and why.
    smaller: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrafficMinute:
    """What went through sessions in one minute."""

    #: Its beginning (UTC).
    at: datetime
    #: Messages that others sent, and that these accounts sent.
    received: int
    sent: int
    #: Events that webhooks took, and the longest that one of them had waited (seconds).
    delivered: int
    lag: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Tenure:
    """A session on its node."""

    tenant: str
    name: str
    status: str
    node: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeVitals:
    """A node that is alive, with its sessions."""

    node: str
    name: str
    address: str
    #: `session_slots` it offers.
    slots: int
    drained: bool
    started_at: datetime
    sessions: tuple[Tenure, ...]
    #: What its agent reported last; empty when it is silent.
    health: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ownership:
    """A session got an owner."""

    tenant: str
    session: str
    epoch: int
    node: str
    node_name: str
    #: Where it was before; empty for the first one.
    previous_node: str
    previous_node_name: str
    #: `first`, `handover`, `start` or `takeover`.
    kind: str
    at: datetime
