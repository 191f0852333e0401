"""What a kind of messages is to those who read them: the one table of it.

How a kind is called on the wire is in `cluster.domain.wire_message`, how one is built to be sent in
`actors.whatsapp.content`.
"""

from __future__ import annotations

from dataclasses import dataclass

from cluster.domain.event_answer import ANSWER
from cluster.domain.poll import SELECTED

__all__ = ["OWN_EVENTS", "MessageKind", "kind_of"]


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageKind:
    """An ordinary one is published as `message` and `message.any`, and can be forwarded."""

    #: The event that one is published as instead.
    event: str = ""
    #: Key of the payload with what was sealed in one; while it could not be opened, the event's
    #: name ends in `.failed`.
    opened: str = ""
    #: It acts on the message that `reply_to` names, which it does not quote.
    acts: bool = False
    #: Others answer it with a secret that only its own chat has.
    secret: bool = False
    #: Traffic of the protocol, no message for people.
    silent: bool = False

    @property
    def forwarded(self) -> bool:
        """Whether it can be: what acts on another, or has a secret, stands in its chat alone."""
        return not (self.acts or self.secret or self.silent)


_KINDS = {
    "reaction": MessageKind(event="message.reaction", acts=True),
    "edit": MessageKind(event="message.edited", acts=True),
    "revoke": MessageKind(event="message.revoked", acts=True),
    "pin": MessageKind(acts=True),
    "poll": MessageKind(secret=True),
    "poll_vote": MessageKind(event="poll.vote", opened=SELECTED, acts=True),
    "event": MessageKind(secret=True),
    "event_response": MessageKind(event="event.response", opened=ANSWER, acts=True),
    "protocol": MessageKind(silent=True),
    "sender_key": MessageKind(silent=True),
    "empty": MessageKind(silent=True),
}
_ORDINARY = MessageKind()
#: Kind -> the event that one sent through the API is published as; others are `message.any`.
OWN_EVENTS = {name: kind.event for name, kind in _KINDS.items() if kind.event}


def kind_of(name: str) -> MessageKind:
    """What there is to know of messages of this kind."""
    return _KINDS.get(name, _ORDINARY)
