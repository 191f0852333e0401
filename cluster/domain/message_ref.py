"""How messages are named: by callers, and by the protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from cluster.domain.content import Key

__all__ = ["LastMessage", "MessageKey", "MessageRef"]


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


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageKey:
    """The protocol's name of a message."""

    id: str
    #: JID.
    chat: str
    from_me: bool
    #: JID of who wrote it, as the chat addresses people.
    sender: str
    #: JID by which callers know who wrote it; empty: the same.
    known_as: str = ""

    def to_json(self) -> Key:
        """As contents keep it."""
        key = Key(id=self.id, chat=self.chat, from_me=self.from_me, sender=self.sender)
        if self.known_as:
            key["_sender"] = self.known_as
        return key

    @classmethod
    def of_json(cls, key: Key) -> Self:
        """What `to_json` made."""
        return cls(
            id=str(key["id"]),
            chat=str(key["chat"]),
            from_me=bool(key["from_me"]),
            sender=str(key.get("sender") or ""),
            known_as=str(key.get("_sender") or ""),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class LastMessage(MessageKey):
    """The newest message of a chat."""

    #: Unix seconds.
    timestamp: int
