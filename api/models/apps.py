"""Apps in WAHA's shapes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from api.models import WahaModel
from api.models.keys import SessionActions
from api.params import SessionName
from cluster.stores.apps import AppRecord

__all__ = ["AppAnswer", "AppId", "AppRequest", "McpConfig"]

AppId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class McpConfig(WahaModel):
    """A key for an agent."""

    actions: SessionActions = Field(description="What its key may do to the session.")
    key_id: str | None = Field(
        None, description="Of its key. Told only.", examples=["key_id_00000000000000000000000000"]
    )
    key: str | None = Field(
        None,
        description="The key: whole in the answer that made it, its beginning in every other.",
        examples=["key_11111111111AAAAAAAAAAAAAAAAAAAAA"],
    )


class AppRequest(WahaModel):
    id: AppId | None = Field(None, description="Made up when missing.", examples=["app_1"])
    session: SessionName = Field(examples=["default"])
    app: Literal[
        "mcp",
        "chatwoot",
        "calls",
        "phone-numbers",
        "argentine-phone-numbers",
        "brazilian-phone-numbers",
        "mexican-phone-numbers",
    ] = Field(examples=["mcp"])
    enabled: bool = Field(True, description="`false`: kept, without effect.")
    config: dict[str, Any] = Field(
        description="By kind of app: see docs/agents.md.",
        examples=[{"actions": {"read": True, "send": True}}],
    )


class AppAnswer(WahaModel):
    id: str
    session: str
    app: str
    enabled: bool
    config: dict[str, Any] = Field(description="Secrets are written only: `***` stands for them.")

    @classmethod
    def of(cls, record: AppRecord, secret: str = "") -> AppAnswer:
        config = dict(record.config)
        if record.key_id is not None:
            config |= {"key_id": record.key_id, "key": secret or record.key_hint}
        return cls(
            id=record.id,
            session=record.session,
            app=record.app,
            enabled=record.enabled,
            config=config,
        )
