"""Where a page of the history ends: the next one begins after exactly this message."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cluster.domain.errors import Invalid

__all__ = ["MessageCursor"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageCursor:
    """The place of one message in the order of the history, which no two share."""

    #: When WhatsApp says it was sent (UTC).
    sent_at: datetime
    #: When it was written down (UTC): the order of messages of one second.
    stored_at: datetime
    message_id: str
    chat: str
    from_me: bool

    def __str__(self) -> str:
        """Opaque to callers; fit for a URL."""
        parts = [
            _micros(self.sent_at),
            _micros(self.stored_at),
            self.message_id,
            self.chat,
            int(self.from_me),
        ]
        text = json.dumps(parts, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(text).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str, field: str = "cursor") -> MessageCursor:
        """Read what `str` made. Raises `Invalid` naming `field`."""
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            sent, stored, message_id, chat, from_me = json.loads(raw)
            moments = [_EPOCH + _MICROSECOND * int(one) for one in (sent, stored)]
            if not (isinstance(message_id, str) and isinstance(chat, str) and from_me in (0, 1)):
                raise ValueError("not of a cursor's types")
            # Half of a surrogate pair is refused by the encoding.
            if b"\x00" in (message_id + chat).encode():
                raise ValueError("NUL")
        except (binascii.Error, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise Invalid(
                f"{field} is not one that this API gave: take it from the page before", field=field
            ) from error
        return cls(
            sent_at=moments[0],
            stored_at=moments[1],
            message_id=message_id,
            chat=chat,
            from_me=bool(from_me),
        )


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND
