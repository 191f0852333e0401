"""What a session is: its name, states and record."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from cluster.domain.errors import Invalid
from cluster.domain.jid import jid_user, phone_jid

__all__ = [
    "SUPERVISOR",
    "DesiredState",
    "Me",
    "SessionRecord",
    "SessionStatus",
    "check_session_name",
    "host_name",
]

#: Name of the actor that brings every session to its desired state.
SUPERVISOR = "supervisor"

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


class SessionStatus(StrEnum):
    """WAHA's status names, https://waha.devlike.pro/docs/how-to/sessions/."""

    STOPPED = "STOPPED"
    STARTING = "STARTING"
    SCAN_QR_CODE = "SCAN_QR_CODE"
    WORKING = "WORKING"
    FAILED = "FAILED"


class DesiredState(StrEnum):
    """What the supervisor brings a session to."""

    #: An owner runs and is connected (or shows a QR code).
    RUNNING = "RUNNING"
    #: No owner; the device stays linked.
    STOPPED = "STOPPED"


@dataclass(frozen=True, kw_only=True, slots=True)
class Me:
    """The account behind a session."""

    #: `4915100001@c.us`
    id: str
    #: Name the account shows to others; empty until it was synced.
    push_name: str = ""
    #: `123456789012345@lid`; empty while unknown.
    lid: str = ""
    #: Device JID, `4915100001:3@s.whatsapp.net`.
    jid: str = ""

    @property
    def account(self) -> str:
        """JID of the account, whichever device: `4915100001@s.whatsapp.net`."""
        return phone_jid(jid_user(self.id)) if self.id else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionRecord:
    """A session as PostgreSQL knows it."""

    #: Stable surrogate key; actor names, checkpoints and events carry it.
    id: int
    #: Owner of the session among customers; sessions of one tenant are invisible to another.
    tenant: str
    #: Unique within the tenant.
    name: str
    desired: DesiredState
    status: SessionStatus
    #: WAHA's `config`: metadata, proxy, webhooks, debug …
    config: dict[str, Any] = field(default_factory=dict)
    me: Me | None = None
    #: Fencing token: grows by one with every start.
    epoch: int = 0
    #: Ray node (hex id) of the present owner; empty when there is none.
    node: str = ""
    #: Process that it shares with others; 0: it has one for itself, or none.
    host: int = 0
    #: Why the status is FAILED, for people; empty otherwise.
    reason: str = ""
    #: An archive of the device was handed out then: the session does not start here any more.
    exported_at: datetime | None = None
    created_at: datetime
    updated_at: datetime
    #: Another one after each change of what PostgreSQL keeps of it besides its owner; empty: not
    #: asked for.
    version: str = field(default="", compare=False)

    @property
    def actor_name(self) -> str:
        """Name of the actor that hosts the session, unique in the cluster."""
        return host_name(self.host) if self.host else self.own_actor_name

    @property
    def own_actor_name(self) -> str:
        """Name of an actor that hosts this session alone."""
        return f"session:{self.tenant}:{self.name}"


def host_name(host: int) -> str:
    """Name of an actor that hosts several sessions."""
    return f"host:{host}"


def check_session_name(name: str) -> str:
    """Return `name`, or raise `Invalid` unless it is `[A-Za-z0-9_-]{1,64}`."""
    if not _NAME.match(name):
        raise Invalid(
            "session name must be 1 to 64 characters of A-Z, a-z, 0-9, _ and -", field="session"
        )
    return name
