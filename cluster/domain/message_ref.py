"""What a caller says to name one message."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MessageRef"]


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageRef:
    """The protocol's id, and whatever else the caller knows: it helps where the history does not
    hold the message."""

    #: `3EB0…`
    message_id: str
    #: JID of the chat; empty when it was not said.
    chat: str = ""
    #: None when it was not said.
    from_me: bool | None = None
    #: JID of who wrote it, in groups; empty when it was not said.
    sender: str = ""
    #: Number of a channel's post, which is all that some callers know of it; 0 when it was not
    #: said.
    server_id: int = 0
