"""Sessions as they were read lately, for those that send one message after the other.

A record from here is a guess. Whoever acts on one has PostgreSQL compare its `version` in the very
statement that acts (`OutboxStore.accept`): a session that was stopped, deleted, linked anew or made
again under its name meanwhile is refused by that, and read afresh. Nothing has to be pushed to the
fronts, and nothing that is not pushed can hurt. Only where the session's process is may be out of
date: the process that is asked says so, and who looks where the session went keeps that here.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

from cluster.domain.session import SessionRecord

__all__ = ["KnownSessions"]

#: Seconds.
_KEPT = 10.0
_MOST = 10_000


class KnownSessions:
    """By tenant and name. Belongs to one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: monotonic seconds."""
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str], tuple[float, SessionRecord]] = OrderedDict()

    def get(self, tenant: str, name: str) -> SessionRecord | None:
        """The record as it was read in the last seconds, without its `config`."""
        read_at, record = self._kept.get((tenant, name), (float("-inf"), None))
        return record if self._clock() - read_at < _KEPT else None

    def keep(self, record: SessionRecord) -> None:
        """It was read right now."""
        whose = record.tenant, record.name
        # Its configuration may be as large as a request.
        self._kept[whose] = self._clock(), replace(record, config={})
        self._kept.move_to_end(whose)
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)

    def forget(self, tenant: str, name: str) -> None:
        """It is not as it was, or not where it was."""
        self._kept.pop((tenant, name), None)
