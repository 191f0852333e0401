"""Bodies of the chatting group."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from api.models import WahaModel
from api.params import SessionName

__all__ = ["CallerMessageId", "MessageText", "MessageTextRequest"]

#: WhatsApp takes texts of up to 65,536 characters; NUL is what PostgreSQL cannot keep.
MessageText = Annotated[
    str, StringConstraints(min_length=1, max_length=65_536, pattern=r"^[^\x00]*$")
]
#: The same as `cluster.domain.message_id.check_message_id`, for OpenAPI.
CallerMessageId = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{16,40}$")]


class MessageTextRequest(WahaModel):
    session: SessionName = "default"
    chatId: str = Field(max_length=128, examples=["11111111111@c.us"])
    text: MessageText = Field(examples=["Hi there!"])
    id: CallerMessageId | None = Field(
        None,
        description="Message id of the caller's own making; the same id is sent once.",
        examples=["3EB0AAAAAAAAAAAAAAAAAA"],
    )
    reply_to: str | None = Field(
        None,
        max_length=256,
        description="Id of the message to reply to: false_11111111111@c.us_AAAAAAAAAAAAAAAAAAAA",
    )
    mentions: list[Annotated[str, StringConstraints(max_length=128)]] | None = Field(
        None,
        max_length=1024,
        description="Chat ids to mention.",
    )
    linkPreview: bool | None = True
    linkPreviewHighQuality: bool | None = False
