"""Sessions whose actor exists but whose process neither owns them nor gets anywhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from actors.supervisor.host_actors import ProbeResult
from cluster.settings import SupervisorSettings
from cluster.stores.starts import Start

__all__ = ["Liveness", "is_ownerless"]

#: A lease that ended this recently is nobody's business yet, seconds.
_GRACE = 1.0


def is_ownerless(start: Start) -> bool:
    """No process holds the lease, and none is on its way to it as far as PostgreSQL knows."""
    if start.waits > 0 or start.held_on:
        return False
    return start.released or start.lapsed > _GRACE


@dataclass(slots=True)
class _Ownerless:
    #: Without an owner since, and without an answer since.
    since: float
    quiet_since: float


@dataclass(slots=True)
class Liveness:
    """Decides; asks and kills nobody."""

    limits: SupervisorSettings
    clock: Callable[[], float] = time.monotonic
    _known: dict[int, _Ownerless] = field(default_factory=dict)

    def watch(self, ownerless: Collection[int]) -> list[int]:
        """Of the sessions without an owner now, those whose process is to be asked."""
        now = self.clock()
        self._known = {i: self._known.get(i) or _Ownerless(now, now) for i in ownerless}
        # A start takes a moment: asking at once would only add to it.
        patience = self.limits.unresponsive_seconds / 3
        return [i for i, known in self._known.items() if now - known.since >= patience]

    def judge(self, session_id: int, probed: ProbeResult) -> bool:
        """True when its process is to be ended."""
        known = self._known.get(session_id)
        if known is None:
            return False
        now = self.clock()
        match probed:
            case ProbeResult.SILENT:
                return now - known.quiet_since >= self.limits.unresponsive_seconds
            case ProbeResult.ANSWERS:
                known.quiet_since = now
                return now - known.since >= self.limits.ownerless_seconds
            case ProbeResult.COMING:
                # Ray's to bring about; its queue may be long after the loss of many nodes.
                known.quiet_since = now
                return False
            case ProbeResult.BARRED:
                return True

    def forget(self, session_id: int) -> None:
        self._known.pop(session_id, None)
