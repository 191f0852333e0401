"""One dead man's switch for all sessions of a process: it strikes at the earliest deadline."""

from __future__ import annotations

import itertools

from actors.session.dead_man import Switch

__all__ = ["SharedDeadMan"]


class SharedDeadMan:
    """Hands out switches over the one of the process.

    A session that fences itself disarms its own, so that its neighbours live on. One that cannot
    takes the process along: nobody else can be trusted to close its connection.
    """

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self._keys = itertools.count()
        #: of those that are armed
        self._deadlines: dict[int, float] = {}
        self._earliest: float | None = None

    def switch(self) -> Switch:
        """One for a session; not armed at first."""
        return _OneOfMany(self, next(self._keys))

    def set(self, key: int, deadline: float | None) -> None:
        """Arm the switch `key`, or disarm it."""
        if deadline is None:
            self._deadlines.pop(key, None)
        else:
            self._deadlines[key] = deadline
        earliest = min(self._deadlines.values(), default=None)
        if earliest == self._earliest:
            return
        self._earliest = earliest
        if earliest is None:
            self._switch.disarm()
        else:
            self._switch.arm(earliest)


class _OneOfMany:
    """See `actors.session.dead_man.Switch`."""

    def __init__(self, shared: SharedDeadMan, key: int) -> None:
        self._shared = shared
        self._key = key

    def arm(self, deadline: float) -> None:
        self._shared.set(self._key, deadline)

    def disarm(self) -> None:
        self._shared.set(self._key, None)
