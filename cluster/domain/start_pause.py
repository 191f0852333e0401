"""How long a session that fails again and again waits before its next start."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["StartPolicy"]


@dataclass(frozen=True, kw_only=True, slots=True)
class StartPolicy:
    """When failing starts are tried again. Times in seconds."""

    #: So many failures in a row cost nothing: a lost process or node is not the session's fault.
    free: int
    #: The first pause after those; each further failure doubles it.
    first: float
    longest: float
    #: So many failures in a row end as FAILED.
    give_up_after: int
    #: A session that was WORKING for that long has not failed.
    settled: float
    #: Starts a second in the whole cluster, and how many may come at once before that counts.
    per_second: float
    burst: int

    def pause(self, failures: int, chance: float) -> float:
        """Seconds before the start after `failures` failures in a row.

        `chance` is from 0 to 1: half of the pause is chance, so that what failed together does not
        come back together ("equal jitter", https://aws.amazon.com/builders-library/
        timeouts-retries-and-backoff-with-jitter/).
        """
        counted = failures - self.free
        if counted <= 0:
            return 0.0
        # Bounded before it is raised: 2.0 ** 1100 is too large for a float.
        full = min(self.longest, self.first * 2.0 ** min(counted - 1, 60))
        return full / 2 + full / 2 * chance
