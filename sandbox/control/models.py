"""Bodies of the control API."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sandbox.server.faults import FaultKind


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewPhone(_Body):
    """An account to register."""

    number: str = Field(description="Digits with country code.", examples=["4915100000001"])
    name: str = Field("", description="Push name.", max_length=100)


class PhoneChange(_Body):
    """What to change about a phone."""

    name: str | None = Field(None, description="Another push name.", max_length=100)
    sends_receipts: bool | None = Field(None, description="Answer messages with receipts.")
    available: bool | None = Field(None, description="Online, or not.")
    addressing: Literal["lid", "pn"] | None = Field(
        None,
        description="How people are named to its devices, and members to its new groups: by "
        "LID, or by phone number, which is all that older clients know.",
    )
    restricted: bool | None = Field(
        None, description="Only who has a privacy token of it may write to it; others get 463."
    )
    spoils: int | None = Field(
        None, ge=0, description="So many of the next messages reach others damaged, at first."
    )


class Scan(_Body):
    """A QR code."""

    qr: str = Field(description="The text that the QR code encodes.")


class Code(_Body):
    """A pairing code."""

    code: str = Field(examples=["ABCD-EFGH"])


class NewMessage(_Body):
    """A message to send from the phone."""

    to: str = Field(description="Number, chat id (`…@c.us`), JID or group JID.")
    text: str = Field("", description="The text, or the caption of an attachment.")
    reply_to: str = Field("", description="Id of a message in the inbox.")
    media: Literal["", "image", "video", "audio", "document", "sticker"] = ""
    data: str = Field("", description="The attachment, base64.")
    mimetype: str = "application/octet-stream"
    filename: str = ""


class AnyMessage(_Body):
    """A message of any kind, as the protobuf that is encrypted."""

    to: str
    data: str = Field(
        description="`Message` of waE2E.proto, base64; fields that the sandbox does "
        "not know go along."
    )
    word: str = Field("", description="A text of it that is sent as other bytes.")
    becomes: str = Field(
        "",
        pattern="^([0-9a-f]{2})*$",
        description="Those, as hex, as many as the word has: protobuf takes no text that is no "
        "UTF-8, and WhatsApp passes it on.",
    )


class NewPoll(_Body):
    """A poll to send from the phone."""

    to: str
    question: str
    options: list[str] = Field(min_length=2)


class NewVote(_Body):
    """A vote in a poll of the inbox."""

    options: list[str]


class EventAnswer(_Body):
    """An answer to an event message of the inbox."""

    response: Literal["GOING", "NOT_GOING", "MAYBE"]
    guests: int = Field(0, ge=0, le=99)


class Reaction(_Body):
    """A reaction to a message of the inbox."""

    message_id: str
    emoji: str = Field(description="Empty takes the reaction back.")


class Change(_Body):
    """Another text for a message that the phone sent; without a text it is deleted."""

    message_id: str
    text: str | None = None


class Messages(_Body):
    """Messages of the inbox."""

    message_ids: list[str] = Field(min_length=1)


class Typing(_Body):
    """Typing in a chat."""

    to: str
    state: Literal["composing", "paused"] = "composing"


class ChatSetting(_Body):
    """A setting of the phone's for a chat or a contact."""

    chat: str
    setting: Literal["mute", "pin", "archive", "contact"]
    on: bool = True
    name: str = Field("", description="Of a contact.")


class NewFault(_Body):
    """A fault to set; see docs/sandbox.md."""

    kind: FaultKind
    number: str = Field("", description="Whose; empty: everyone's.")
    device: int | None = Field(None, description="Which linked device; null: all of them.")
    seconds: float = Field(0, ge=0, description="Length of a delay or freeze, or the skew.")
    times: int | None = Field(None, ge=1, description="How often; null: until removed.")
    code: int = Field(0, description="Reason of a failure, or code of a stream error.")
    conflict: str = Field("", description="`replaced`, for a stream error.")
    version: str = Field(
        "",
        pattern=r"^(\d{1,10}\.\d{1,10}\.\d{1,10})?$",
        description="The oldest client that is let in, for a refused version: `2.3000.1040000000`.",
    )
    expire: int = Field(0, description="Seconds a temporary ban lasts.")

    @model_validator(mode="after")
    def _names_a_version(self) -> Self:
        if (self.kind == "refuse_version") != bool(self.version):
            raise ValueError("version belongs to refuse_version, and it to version")
        return self


class PrekeysLeft(_Body):
    """Let a device run out of one-time keys."""

    keep: int = Field(0, ge=0)


class Sent(BaseModel):
    """A message that the server took."""

    id: str


class PhoneInfo(BaseModel):
    """A phone."""

    number: str
    name: str
    lid: str
    about: str
    devices: list[DeviceInfo]
    waits_for_code: bool


class DeviceInfo(BaseModel):
    """A linked device."""

    device: int
    platform: str
    linked_at: float
    connected: bool
    active: bool
    queued: int
    prekeys: int


class State(BaseModel):
    """What the server saw."""

    unhandled: dict[str, int]
    counters: dict[str, int]
    most_connections: dict[str, int]
    #: `device`, `since` (Unix seconds), `seconds` that it had more than one connection
    overlaps: list[dict[str, Any]]
    phones: int
    connected: list[str]


class Entries(BaseModel):
    """Entries of an inbox or of the journal."""

    entries: list[dict[str, Any]]
