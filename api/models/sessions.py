"""Bodies of the sessions group."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from pydantic import Field

from api.models import WahaModel
from api.models.apps import AppAnswer
from api.params import SessionName
from cluster.domain.config_secrets import masked
from cluster.domain.session import DesiredState, Me, SessionRecord, SessionStatus
from cluster.domain.session_config import SessionConfig

__all__ = [
    "DeprecatedLogout",
    "DeprecatedStart",
    "DeprecatedStop",
    "LogoutRequest",
    "MeInfo",
    "SessionCreateRequest",
    "SessionInfo",
    "SessionUpdateRequest",
]


_ANY_NAME = Field(description="Session name (id)", examples=["default"])


class _WithApps(WahaModel):
    apps: list[Any] | None = Field(
        None,
        description="Taken only when it is empty: apps are made by `POST /api/apps`, with the "
        "rights that this takes.",
    )


class SessionCreateRequest(_WithApps):
    name: SessionName | None = Field(
        None, description="Session name (id); made up when missing", examples=["default"]
    )
    start: bool | None = Field(True, description="Start session after creation")
    config: SessionConfig | None = None


class SessionUpdateRequest(_WithApps):
    config: SessionConfig | None = None


class DeprecatedStart(WahaModel):
    name: SessionName = _ANY_NAME
    config: SessionConfig | None = None


class DeprecatedStop(WahaModel):
    name: SessionName = _ANY_NAME
    logout: bool | None = Field(False, description="Log out and delete the session as well.")


class _AppsAtLogout(WahaModel):
    purge: bool | None = Field(
        False, description="Only `false`: `POST /api/apps/{id}/purge` does that."
    )


class LogoutRequest(WahaModel):
    apps: _AppsAtLogout | None = None


class DeprecatedLogout(WahaModel):
    name: SessionName = _ANY_NAME


class MeInfo(WahaModel):
    """The account behind a session."""

    id: str = Field(examples=["11111111111@c.us"])
    lid: str | None = Field(None, examples=["123123@lid"])
    jid: str | None = Field(
        None, description="Id with device number", examples=["11111111111:3@s.whatsapp.net"]
    )
    pushName: str = Field(examples=["Alice"])

    @classmethod
    def of(cls, me: Me) -> Self:
        return cls(id=me.id, lid=me.lid or None, jid=me.jid or None, pushName=me.push_name)


class Timestamps(WahaModel):
    activity: int | None = Field(description="Last change of the session, Unix time in ms.")


class EngineInfo(WahaModel):
    engine: str = Field("GOWS", description="whatsmeow, as in WAHA's GOWS.")


class SessionGateway(WahaModel):
    """What this gateway knows of a session beyond WAHA."""

    node: str | None = Field(description="Ray node (hex id) of the owner; null without one.")
    epoch: int = Field(description="Fencing token: grows with every start.")
    actor: str = Field(description="Name of the Ray actor that hosts the session.")
    desired: DesiredState = Field(description="What the supervisor brings the session to.")
    reason: str | None = Field(description="Why the status is FAILED, for people.")
    smallerPromises: dict[str, str] | None = Field(
        None,
        description="What its library does not keep: name → what holds instead, and why. Null: "
        "everything is kept, or nobody asked (reads of sessions show it).",
    )
    exportedAt: datetime | None = Field(
        None, description="Its device was handed out then: it does not start here any more."
    )
    createdAt: datetime
    updatedAt: datetime


class SessionInfo(WahaModel):
    """A session: WAHA's keys, and ours under `gateway`."""

    name: str = _ANY_NAME
    status: SessionStatus
    config: dict[str, Any] | None = Field(
        description="As it was set; see `SessionConfig`. Secrets are written only: `***` stands "
        "for them, and keeps them when it is sent back."
    )
    me: MeInfo | None = None
    apps: list[AppAnswer] | None = Field(None, description="With `expand=apps`.")
    assignedWorker: str | None = Field(None, description="Node of the owner.")
    presence: str | None = None
    timestamps: Timestamps
    engine: EngineInfo = EngineInfo()
    gateway: SessionGateway

    @classmethod
    def of(
        cls,
        record: SessionRecord,
        smaller: dict[str, str] | None = None,
        apps: list[AppAnswer] | None = None,
    ) -> Self:
        """`smaller`: promises that are not kept."""
        return cls(
            name=record.name,
            status=record.status,
            config=masked(record.config),
            me=MeInfo.of(record.me) if record.me else None,
            apps=apps,
            assignedWorker=record.node or None,
            timestamps=Timestamps(activity=int(record.updated_at.timestamp() * 1000)),
            gateway=SessionGateway(
                node=record.node or None,
                epoch=record.epoch,
                actor=record.actor_name,
                desired=record.desired,
                reason=record.reason or None,
                smallerPromises=smaller or None,
                exportedAt=record.exported_at,
                createdAt=record.created_at,
                updatedAt=record.updated_at,
            ),
        )
