"""The pace of restarts: at once, and slower and slower for what keeps ending."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from cluster.domain.errors import GatewayError

__all__ = ["Restarts"]

log = structlog.get_logger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
#: What stayed up for this long is as good as new.
_FORGET_SECONDS = 60.0


class Restarts:
    """Remembers, for each name, when it may be tried next."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next: dict[str, float] = {}
        self._pause: dict[str, float] = {}
        self._noticed: dict[str, float] = {}

    def due(self, name: str, *, rest: float = 0.0) -> bool:
        """Whether it may be tried now: not before `rest` seconds after the first such question."""
        noticed = self._noticed.setdefault(name, self._clock())
        return self._clock() >= max(noticed + rest, self._next.get(name, 0.0))

    def attempt(self, name: str, start: Callable[[], None]) -> bool:
        """Try it; answers whether it started."""
        if self._clock() - self._next.get(name, 0.0) > _FORGET_SECONDS:
            self._pause.pop(name, None)
        pause = self._pause.get(name, _FIRST_PAUSE)
        self._pause[name] = min(_LONGEST_PAUSE, pause * 2)
        try:
            start()
        except GatewayError as error:
            log.warning("local.restart_failed", part=name, reason=error.detail, pause=pause)
            return False
        except Exception:
            # Whatever it is: the other parts need their host.
            log.exception("local.restart_failed", part=name, pause=pause)
            return False
        finally:
            self._next[name] = self._clock() + pause
            self._noticed.pop(name, None)
        log.info("local.restarted", part=name)
        return True
