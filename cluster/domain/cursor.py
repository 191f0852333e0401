"""Where a page of the history, or a reader of events, ends: the next begins after just that."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cluster.domain.errors import Invalid

__all__ = ["EventCursor", "MessageCursor"]

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


#: Characters of an event's id that distinguish it from another one under the same number.
_CHECK = 8
#: Digits of the largest number.
_DIGITS = 19


@dataclass(frozen=True, kw_only=True, slots=True)
class EventCursor:
    """How far a reader of a session's events is: `12`, or `12-7f3k9x2a` with the end of the id of
    that event. A database that lost what was written last (a failover, a restore) gives the same
    numbers to other events; by the end of the id the reader is warned."""

    seq: int
    check: str = ""

    def __str__(self) -> str:
        return f"{self.seq}-{self.check}" if self.check else str(self.seq)

    @classmethod
    def at(cls, seq: int, event_id: str) -> EventCursor:
        """Behind this event; an empty id: of none that is kept."""
        return cls(seq=seq, check=event_id[-_CHECK:])

    @classmethod
    def parse(cls, text: str, field: str) -> EventCursor:
        """Raises `Invalid` naming `field`."""
        number, dash, check = text.partition("-")
        digits = number.isascii() and number.isdecimal() and len(number) <= _DIGITS
        right = not dash or (len(check) == _CHECK and check.isascii() and check.isalnum())
        if not digits or not right or int(number) > 2**63 - 1:
            raise Invalid(f"{field} is the number of an event", field=field)
        return cls(seq=int(number), check=check)

    def fits(self, event_id: str) -> bool:
        """Whether the event under this number now is the one that was read."""
        return not self.check or event_id.endswith(self.check)


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND
