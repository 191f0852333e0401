"""Faults on demand: what networks and WhatsApp do to a client on a bad day."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Fault", "FaultKind", "Faults"]

FaultKind = Literal[
    # connections
    "drop",
    "delay",
    "freeze",
    "lose_acks",
    "stream_error",
    # logins
    "refuse_login",
    "refuse_version",
    "clock_skew",
]


@dataclass(slots=True, kw_only=True)
class Fault:
    """One fault, for one device, one account or everyone."""

    kind: FaultKind
    #: phone number; empty: everyone
    number: str = ""
    #: linked device; None: every device of the account
    device: int | None = None
    #: seconds: a delay's length, how long a freeze lasts (0: until removed), a skew of the clock
    seconds: float = 0.0
    #: how often it fires; None: until it is removed
    times: int | None = None
    #: `<failure reason=>` or `<stream:error code=>`
    code: int = 0
    #: a `<conflict type=>` of the stream error
    conflict: str = ""
    #: of a refused version: the oldest that is let in
    version: str = ""
    #: of a temporary ban (reason 402): seconds until it ends
    expire: int = 0
    id: int = 0
    struck: int = 0
    #: set when it is removed
    over: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    def concerns(self, number: str, device: int) -> bool:
        return self.number in ("", number) and self.device in (None, device)

    def fires(self) -> bool:
        """Use it once; False when it is used up."""
        if self.over.is_set() or (self.times is not None and self.struck >= self.times):
            return False
        self.struck += 1
        return True


class Faults:
    """The faults that are set."""

    def __init__(self) -> None:
        self._faults: dict[int, Fault] = {}
        self._ids = itertools.count(1)

    def add(self, fault: Fault) -> Fault:
        fault.id = next(self._ids)
        self._faults[fault.id] = fault
        return fault

    def remove(self, id: int) -> bool:
        fault = self._faults.pop(id, None)
        if fault is None:
            return False
        fault.over.set()
        return True

    def clear(self) -> None:
        for id in list(self._faults):
            self.remove(id)

    def all(self) -> list[Fault]:
        return list(self._faults.values())

    def fires(self, kind: FaultKind, number: str, device: int) -> Fault | None:
        """The first fault of a kind that concerns a device and fires now."""
        return next((f for f in self._concerning(kind, number, device) if f.fires()), None)

    def refuses(self, version: tuple[int, ...], number: str, device: int) -> bool:
        """Whether a client of that version is too old."""
        return any(
            version < tuple(int(part) for part in fault.version.split(".")) and fault.fires()
            for fault in self._concerning("refuse_version", number, device)
        )

    def _concerning(self, kind: FaultKind, number: str, device: int) -> Iterable[Fault]:
        return [f for f in self._faults.values() if f.kind == kind and f.concerns(number, device)]
