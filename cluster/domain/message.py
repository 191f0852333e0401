"""Messages: what a caller asks to send, and what the history keeps."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any, Self

from cluster.domain.content import body_of
from cluster.domain.cursor import MessageCursor
from cluster.domain.pacing import Place
from cluster.domain.session import Me

__all__ = ["Ack", "MessageFilter", "MessagePage", "OutboxState", "SentMessage", "StoredMessage"]


class Ack(IntEnum):
    """WAHA's acknowledgement levels of a message."""

    ERROR = -1
    PENDING = 0
    SERVER = 1
    DEVICE = 2
    READ = 3
    PLAYED = 4


class OutboxState(StrEnum):
    """Life of an accepted send."""

    ACCEPTED = "accepted"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"


_ACKS = {
    OutboxState.ACCEPTED: Ack.PENDING,
    OutboxState.SENT: Ack.SERVER,
    OutboxState.DELIVERED: Ack.DEVICE,
    OutboxState.READ: Ack.READ,
    OutboxState.FAILED: Ack.ERROR,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class SentMessage:
    """The answer to a send: the message has been accepted (and, where said, sent)."""

    #: Final WhatsApp message id, `3EB0…`.
    message_id: str
    #: JID of the chat.
    chat: str
    state: OutboxState
    #: Time of acceptance (UTC).
    timestamp: datetime
    #: True when an idempotency key or id was seen before and this is the first send's answer.
    replayed: bool = False
    #: The message's kind and content as accepted, e.g. {"kind": "text", "text": "hi"}.
    content: dict[str, Any] = field(default_factory=dict)
    #: While sending limits hold it back: where it stands.
    place: Place | None = None
    #: The account that it is sent from; None: not known.
    sender: Me | None = None

    def kept(self, sender: str) -> StoredMessage:
        """As the history has it. `sender`: JID of the account, empty when it is not known."""
        return StoredMessage(
            message_id=self.message_id,
            chat=self.chat,
            sender=sender,
            from_me=True,
            timestamp=self.timestamp,
            kind=str(self.content.get("kind", "text")),
            body=body_of(self.content),
            ack=_ACKS[self.state],
            via_api=True,
            has_media="file" in self.content,
            reply_to=str(self.content.get("reply_to") or ""),
            payload={"content": self.content},
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Followed:
    """What the owner of a session answers about an accepted message."""

    #: Server time of the message; None: it has not gone out yet.
    sent_at: datetime | None = None
    #: While sending limits hold it back: where it stands.
    place: Place | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "sent_at": self.sent_at.isoformat() if self.sent_at else None,
            "place": asdict(self.place) if self.place else None,
        }

    @classmethod
    def of_json(cls, answer: dict[str, Any]) -> Self:
        """What `to_json` made."""
        sent_at, place = answer["sent_at"], answer["place"]
        return cls(
            sent_at=datetime.fromisoformat(sent_at) if sent_at else None,
            place=Place(**place) if place else None,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredMessage:
    """A message of the history, incoming or outgoing."""

    message_id: str
    #: Chat JID; for a person the phone-number JID where known.
    chat: str
    #: Sender's JID without device.
    sender: str
    from_me: bool
    #: When WhatsApp says it was sent (UTC).
    timestamp: datetime
    #: `text`, `image`, `reaction` …
    kind: str
    #: Text or caption; empty when there is none.
    body: str = ""
    ack: Ack = Ack.PENDING
    #: True when it was sent through the API and not on another device.
    via_api: bool = False
    has_media: bool = False
    #: Id of the quoted message; empty when it is no reply.
    reply_to: str = ""
    #: Name the sender shows.
    push_name: str = ""
    #: The protobuf message as JSON, and what else the kind needs.
    payload: dict[str, Any] = field(default_factory=dict)
    #: When its text was last changed, and when it was deleted for everyone (UTC).
    edited_at: datetime | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageFilter:
    """Which messages of a chat (or of all chats) to list, newest first."""

    #: By either address of a person; None: of all chats.
    chat: str | None = None
    limit: int = 100
    offset: int = 0
    from_me: bool | None = None
    timestamp_gte: datetime | None = None
    timestamp_lte: datetime | None = None
    ack: Ack | None = None
    ascending: bool = False
    #: Words (or beginnings of words) that the text must all have; empty: any text.
    words: str = ""
    #: Only what follows this message in the order asked for.
    after: MessageCursor | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class MessagePage:
    """A part of the history."""

    messages: tuple[StoredMessage, ...]
    #: Where the next page begins; None: this is the last one.
    following: MessageCursor | None
