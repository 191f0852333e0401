"""Who was last seen how: what WhatsApp reported to this connection of people's presence."""

from __future__ import annotations

from dataclasses import dataclass, field

from neonize.proto.Neonize_pb2 import ChatPresence, Presence

from actors.whatsapp.incoming import chat_of, person
from actors.whatsapp.jids import to_text
from cluster.domain.jid import bare_jid

__all__ = ["Presences", "Seen"]

#: Chats that are remembered; the longest untouched go first.
_MOST = 10_000
#: People of one chat: what WhatsApp lets into a group, and some.
_MOST_PEOPLE = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The last that is known of one person in one chat."""

    #: `online`, `offline`, `typing`, `recording`, `paused`
    state: str
    #: Unix seconds; 0: WhatsApp did not say.
    last_seen: int = 0


@dataclass(slots=True)
class Presences:
    """Chat → person → last presence. In memory: it means nothing once the connection is gone."""

    _chats: dict[str, dict[str, Seen]] = field(default_factory=dict)

    def take(self, event: Presence | ChatPresence) -> None:
        """Remember what the library reports."""
        if isinstance(event, Presence):
            jid = bare_jid(to_text(event.From))
            state = "offline" if event.Unavailable else "online"
            # Go's zero time is the year 1.
            self._put(jid, jid, Seen(state=state, last_seen=max(0, event.LastSeen)))
            return
        source = event.MessageSource
        state = "paused"
        if event.State == ChatPresence.COMPOSING:
            state = "recording" if event.Media == ChatPresence.AUDIO else "typing"
        self._put(
            bare_jid(chat_of(source)),
            bare_jid(person(source.Sender, source.SenderAlt)),
            Seen(state=state),
        )

    def of_chat(self, *addresses: str) -> dict[str, Seen]:
        """What is known of a chat by any of its addresses."""
        found: dict[str, Seen] = {}
        for address in addresses:
            found |= self._chats.get(address, {})
        return found

    def chats(self) -> list[str]:
        return list(self._chats)

    def clear(self) -> None:
        """The connection is gone, and what it reported with it."""
        self._chats.clear()

    def _put(self, chat: str, jid: str, seen: Seen) -> None:
        people = self._chats.pop(chat, {})
        people.pop(jid, None)
        people[jid] = seen
        self._chats[chat] = people
        for known, most in ((people, _MOST_PEOPLE), (self._chats, _MOST)):
            while len(known) > most:
                del known[next(iter(known))]
