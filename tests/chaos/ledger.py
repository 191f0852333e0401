"""What was promised: every text that was accepted, and every text that a phone sent."""

from __future__ import annotations

import itertools
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field

from chaos.people import Person

__all__ = ["Ledger", "Sent", "Try"]


@dataclass(frozen=True, slots=True)
class Sent:
    """A text that somebody took on."""

    text: str
    message_id: str
    #: The recipient's session was not linked meanwhile.
    phone_only: bool = False


@dataclass(frozen=True, slots=True)
class Try:
    """One HTTP request of a client. Times: time.monotonic()."""

    began: float
    ended: float
    accepted: bool


@dataclass(slots=True)
class Ledger:
    """Of one fault's rounds. All texts are unique, over all ledgers."""

    tag: str
    #: Nothing in it is older: seconds of the wall clock, with some distance.
    began: int = field(default_factory=lambda: int(time.time()) - 10)
    #: By sender, in the order of the calls: accepted by the gateway for the neighbour's phone.
    accepted: dict[Person, list[Sent]] = field(default_factory=lambda: defaultdict(list))
    #: By the account they were sent to, in order: texts the server took from a phone.
    typed: dict[Person, list[Sent]] = field(default_factory=lambda: defaultdict(list))
    #: Texts that a client gave up on without an answer: they may arrive, once.
    uncertain: set[str] = field(default_factory=set)
    #: What clients were answered.
    answers: Counter[str] = field(default_factory=Counter)
    tries: dict[Person, list[Try]] = field(default_factory=lambda: defaultdict(list))
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def text(self) -> str:
        """A text that never was before."""
        return f"{self.tag} {next(self._numbers)} {uuid.uuid4().hex[:12]}"

    def refused(self, people: Collection[Person], since: float) -> int:
        """How many requests of these that began since then were not accepted."""
        return sum(not t.accepted and t.began >= since for p in people for t in self.tries[p])

    def success(self, person: Person, not_before: float) -> Try | None:
        """The first request that began then or later and was accepted."""
        return next((t for t in self.tries[person] if t.accepted and t.began >= not_before), None)
