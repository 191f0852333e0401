"""How fast a session may send without looking like a machine: pure, time and chance come in.

Messages follow each other as in GCRA (the "virtual scheduling" leaky bucket of ITU-T I.371):
`burst` messages at once, then one per interval, of which a part is chance. First messages to
strangers, the surest way to a ban, are counted over a day. A young device gets a fraction of both.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

__all__ = ["DAY", "PROFILES", "Limit", "Pace", "PacePolicy", "Place", "paced_chat"]

#: What holds a message back; `turn`: those before it only.
Limit = Literal["pace", "new_chats", "turn"]
#: Seconds over which new chats are counted.
DAY = 86_400.0
#: What a device gets on its first day, of the whole.
_WARM_UP_FROM = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class PacePolicy:
    """The limits of one session."""

    #: Messages a minute, on average.
    per_minute: float
    #: So many may follow each other at once after a silence.
    burst: int
    #: People written to in 24 h with whom nothing was exchanged before.
    new_chats_per_day: int
    #: Part of an interval that is chance, 0 to 1.
    jitter: float = 0.5
    #: Characters a second that are "typed" before a text goes out; 0: none.
    typed_per_second: float = 15.0
    #: Bound on that, seconds.
    typing_longest: float = 4.0
    #: Days after which a device gets the whole; 0: at once.
    warm_up_days: float = 0.0

    def share(self, age: float) -> float:
        """What a device linked `age` seconds ago gets: from a fifth to the whole."""
        if self.warm_up_days <= 0:
            return 1.0
        grown = min(1.0, max(0.0, age) / (self.warm_up_days * DAY))
        return _WARM_UP_FROM + (1.0 - _WARM_UP_FROM) * grown

    def interval(self, age: float) -> float:
        """Seconds between two messages."""
        return 60.0 / (self.per_minute * self.share(age))

    def new_chats(self, age: float) -> int:
        """New chats in 24 h."""
        return max(1, int(self.new_chats_per_day * self.share(age)))

    def typing(self, content: dict[str, Any], chance: float) -> float:
        """Seconds to show as typing before `content` goes out."""
        text = content.get("text") if content.get("kind") == "text" else None
        if not text or self.typed_per_second <= 0:
            return 0.0
        seconds = len(text) / self.typed_per_second * self._by_chance(chance)
        return min(self.typing_longest, max(0.3, seconds))

    def _by_chance(self, chance: float) -> float:
        return 1.0 + self.jitter * (2.0 * chance - 1.0)


#: By name. `careful`: a number that is new at WhatsApp; `trusted`: one that has been a business's
#: for long.
PROFILES: dict[str, PacePolicy] = {
    "careful": PacePolicy(per_minute=8, burst=3, new_chats_per_day=50, warm_up_days=30),
    "normal": PacePolicy(per_minute=20, burst=5, new_chats_per_day=200, warm_up_days=14),
    "trusted": PacePolicy(per_minute=60, burst=20, new_chats_per_day=1000),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where an accepted message stands."""

    #: Messages of the session before it.
    ahead: int
    #: Estimated seconds until it goes out, while the session is connected.
    seconds: float
    #: The limit it waits for; `turn`: it waits for those before it only.
    limit: Limit = "turn"


@dataclass(slots=True)
class Pace:
    """Where a session stands with its limits. Times are seconds of one clock, whichever."""

    policy: PacePolicy
    linked_at: float
    #: When the next message would be due if there were no burst.
    _due: float = float("-inf")
    #: Openings of the last day, in order.
    _opened: list[float] = field(default_factory=list)

    @classmethod
    def of(
        cls, policy: PacePolicy, linked_at: float, sent: Iterable[float], opened: Iterable[float]
    ) -> Pace:
        """As left behind by whoever sent before: what survives a takeover."""
        pace = cls(policy, linked_at, _opened=sorted(opened))
        for at in sorted(sent):
            pace.took(at, 0.5)
        return pace

    def wait(self, now: float) -> float:
        """Seconds until the next message may go."""
        interval = self.policy.interval(now - self.linked_at)
        return max(0.0, self._due - (self.policy.burst - 1) * interval - now)

    def wait_for_opening(self, now: float) -> float:
        """Seconds until another new chat may be opened."""
        allowed = self.policy.new_chats(now - self.linked_at)
        counted = [at for at in self._opened if at > now - DAY]
        if len(counted) < allowed:
            return 0.0
        return max(0.0, counted[len(counted) - allowed] + DAY - now)

    def took(self, now: float, chance: float) -> None:
        """A message went out."""
        interval = self.policy.interval(now - self.linked_at)
        self._due = max(now, self._due) + interval * self.policy._by_chance(chance)

    def opens(self, now: float) -> None:
        """A new chat is opened."""
        self._opened = [at for at in self._opened if at > now - DAY]
        insort(self._opened, now)

    def place(self, ahead: int, now: float, *, opens: bool) -> Place:
        """The same as the last of `places`, but for new chats among those ahead: at the cost of
        one message, however many wait."""
        interval = self.policy.interval(now - self.linked_at)
        due = max(now, self._due) + ahead * interval - (self.policy.burst - 1) * interval
        paced = max(0.0, due - now)
        opened = self.wait_for_opening(now) if opens else 0.0
        limit: Limit = "new_chats" if opened > paced else "pace" if paced > 0 else "turn"
        return Place(ahead=ahead, seconds=max(paced, opened), limit=limit)

    def places(self, opening: Sequence[bool], now: float) -> list[Place]:
        """Where messages that wait in this order stand; `opening`: each one opens a new chat."""
        trial = replace(self, _opened=list(self._opened))
        found: list[Place] = []
        at = now
        for ahead, opens in enumerate(opening):
            paced, opened = trial.wait(at), trial.wait_for_opening(now) if opens else 0.0
            when = max(at + paced, now + opened)
            limit: Limit = "pace" if when > now else "turn"
            if opened > at + paced - now:
                limit = "new_chats"
            found.append(Place(ahead=ahead, seconds=when - now, limit=limit))
            if opens:
                trial.opens(when)
            if limit != "new_chats":
                # Others pass one that waits for tomorrow.
                at = when
                trial.took(at, 0.5)
        return found


def paced_chat(chat: str) -> bool:
    """People: groups, channels and status have no openings, and nobody sees typing there."""
    return chat.endswith(("@s.whatsapp.net", "@lid"))
