"""Apps in WAHA's shapes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo, field_validator

from api.models import WahaModel
from api.models.keys import SessionActions
from api.params import MOST, SessionName
from cluster.chatwoot.templates import TEMPLATES
from cluster.domain.config_secrets import MASK
from cluster.domain.errors import Invalid
from cluster.stores.apps import AppRecord

__all__ = [
    "AppAnswer",
    "AppId",
    "AppRequest",
    "CallsConfig",
    "ChatwootConfig",
    "McpConfig",
    "unmasked",
]

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


def _no_queue(wanted: bool | None) -> bool | None:
    if wanted:
        raise ValueError("there is no queue to look at")
    return wanted


class ChatwootCommands(WahaModel):
    server: bool = Field(
        True,
        description="Agents write commands in the conversation where the session posts its "
        "status, and QR codes are shown there: `help` lists them.",
    )
    queue: Annotated[bool | None, AfterValidator(_no_queue)] = Field(
        False, description="Only `false`: there is no queue to look at."
    )


class ChatwootConversations(WahaModel):
    markAsRead: bool = Field(True, description="What was read in WhatsApp is seen in Chatwoot.")
    syncMessageStatus: bool = Field(
        False, description="Chatwoot shows `delivered` and `read`. Failures it shows anyway."
    )
    outgoing: Literal["private-note", "message"] = Field(
        "private-note", description="What was written on the phone, or through the API."
    )
    sort: Literal["activity_newest", "created_newest", "created_oldest", "activity_oldest"] = Field(
        "created_newest", description="Which of several conversations goes on."
    )
    status: list[Literal["open", "pending", "snoozed", "resolved"]] | None = Field(
        None,
        description="Conversations in these go on; without one a new one begins. Empty: in any.",
    )
    groups: bool = Field(True, description="Groups are conversations as well. Ours.")


class ChatwootConfig(WahaModel):
    """A bridge to an API inbox of Chatwoot."""

    url: str = Field(max_length=2048, pattern=r"^https?://[^\s/?#@]+[^\s?#@]*$")
    accountId: int = Field(ge=1, le=MOST)
    accountToken: str = Field(min_length=1, max_length=1024, pattern=r"^[!-~]+$")
    inboxId: int = Field(ge=1, le=MOST)
    inboxIdentifier: str = Field(pattern=r"^[A-Za-z0-9_-]{1,128}$")
    linkPreview: Literal["OFF", "LG", "HG"] = "OFF"
    templates: dict[str, Annotated[str, StringConstraints(max_length=4096)]] | None = Field(
        None,
        description="Texts in your own words, by WAHA's names, in Mustache: "
        + ", ".join(f"`{name}`" for name in TEMPLATES),
        examples=[
            {"chatwoot.to.whatsapp.message.text": "*{{{chatwoot.sender.name}}}*: {{{content}}}"}
        ],
    )
    locale: str = Field(
        "en-US", max_length=16, description="Our texts are English; another needs `templates`."
    )
    commands: ChatwootCommands | None = None
    conversations: ChatwootConversations | None = None
    webhook: str | None = Field(
        None, description="Told only: the address for the inbox, whole in the first answer."
    )

    @field_validator("locale")
    @classmethod
    def _has_texts(cls, locale: str, info: ValidationInfo) -> str:
        if not locale.lower().startswith("en") and not info.data.get("templates"):
            raise ValueError("our texts are English: give your own as `templates`")
        return locale


class CallAnswer(WahaModel):
    reject: bool = True
    message: str | None = Field(
        None, max_length=4096, description="Sent to the caller.", examples=["Please write to us."]
    )


class CallsConfig(WahaModel):
    """Calls are rejected, and answered with a text."""

    dm: CallAnswer = Field(description="Of one person.")
    group: CallAnswer = Field(description="Of a group; the answer goes to who calls.")


def unmasked(config: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """With the token that `before` has where it says the mask. Raises `Invalid` when it would go
    elsewhere."""
    if config.get("accountToken") != MASK:
        return config
    if config.get("url") != before.get("url") or "accountToken" not in before:
        raise Invalid(
            "give the token anew: it is kept for the same URL only", field="config.accountToken"
        )
    return config | {"accountToken": before["accountToken"]}


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
    def of(cls, record: AppRecord, secret: str = "", *, base: str = "") -> AppAnswer:
        """`base`: how callers reach the gateway."""
        config = dict(record.config)
        if record.app == "chatwoot":
            config["accountToken"] = MASK
            path = f"webhooks/chatwoot/{record.session}/{record.id}/{secret or MASK}"
            config["webhook"] = f"{base.rstrip('/')}/{path}"
        elif record.key_id is not None:
            config |= {"key_id": record.key_id, "key": secret or record.key_hint}
        return cls(
            id=record.id,
            session=record.session,
            app=record.app,
            enabled=record.enabled,
            config=config,
        )
