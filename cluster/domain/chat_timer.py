"""After how long messages of a chat disappear, as its people set it and as each message says it.

WhatsApp's clients send the setting as a message (`ProtocolMessage`, EPHEMERAL_SETTING) and repeat
it in `contextInfo` of all that follows (waE2E.proto); groups have it in their information too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cluster.domain.message import StoredMessage
from cluster.domain.wire_message import context_of, main_part

__all__ = ["ChatTimer", "timer_of"]

#: A year: more is no timer of WhatsApp's.
_LONGEST = 366 * 86_400


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatTimer:
    """What is known of one chat."""

    chat: str
    #: 0: they stay.
    seconds: int
    #: When it was set (UTC).
    set_at: datetime

    @classmethod
    def of(cls, chat: str, seconds: int, set_at: datetime) -> ChatTimer | None:
        """None for what is no timer of WhatsApp's."""
        known = 0 <= seconds <= _LONGEST
        return cls(chat=chat, seconds=seconds, set_at=set_at) if known else None


def timer_of(message: StoredMessage) -> ChatTimer | None:
    """What a message of the wire says of its chat's timer; None: nothing. That a message has none
    says nothing: clients that do not know the chat's leave it out. In a group it is the word of its
    sender, who need not be one that may set it."""
    raw = message.payload.get("message")
    if not isinstance(raw, dict) or message.chat.endswith("@broadcast"):
        return None
    name, part = main_part(raw)
    if name == "protocolMessage" and part.get("type") == "EPHEMERAL_SETTING":
        seconds, since = part.get("ephemeralExpiration"), part.get("ephemeralSettingTimestamp")
    else:
        context = context_of(raw)
        seconds, since = context.get("expiration"), context.get("ephemeralSettingTimestamp")
        if not seconds:
            return None
    # Nobody set it in the future, whatever a message says.
    since_seconds = min(_number(since), int(message.timestamp.timestamp()))
    set_at = datetime.fromtimestamp(since_seconds, UTC) if since_seconds > 0 else message.timestamp
    return ChatTimer.of(message.chat, _number(seconds), set_at)


def _number(value: Any) -> int:
    """JSON of the protobuf has numbers of 64 bits as texts."""
    try:
        return int(value or 0)
    except (TypeError, ValueError):
        return 0
