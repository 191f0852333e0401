"""When a failed delivery is tried again: WAHA's policies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Self

__all__ = ["Policy", "RetryPolicy"]

#: Of the exponential policy, in both directions (WAHA: 20 %).
_JITTER = 0.2
#: Seconds; a pause of it doubled twenty times is still a time.
_LONGEST = 86_400.0 * 365


class Policy(StrEnum):
    """How the pause grows."""

    CONSTANT = "constant"
    LINEAR = "linear"
    EXPONENTIAL = "exponential"


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """`retries` of a webhook's configuration."""

    policy: Policy
    delay: timedelta
    #: Tries after the first one.
    attempts: int

    @classmethod
    def of(cls, configured: Mapping[str, Any] | None) -> Self:
        """With WAHA's defaults for what is missing (constant, 2 s, 15 times).

        Without any configuration the pauses grow instead, so that a receiver may be away for an
        hour before anything becomes a dead letter.
        """
        if not configured:
            return cls(policy=Policy.EXPONENTIAL, delay=timedelta(seconds=2), attempts=15)
        delay, attempts = configured.get("delaySeconds"), configured.get("attempts")
        return cls(
            policy=Policy(configured.get("policy") or Policy.CONSTANT),
            delay=timedelta(seconds=2 if delay is None else min(float(delay), _LONGEST)),
            attempts=15 if attempts is None else int(attempts),
        )

    def pause(self, failed: int, *, chance: float, longest: timedelta) -> timedelta | None:
        """The pause after the `failed`-th try that failed; None when that was the last one.

        `chance` is a random number from 0 to 1.
        """
        if failed > self.attempts:
            return None
        match self.policy:
            case Policy.CONSTANT:
                pause = self.delay
            case Policy.LINEAR:
                pause = self.delay * failed
            case Policy.EXPONENTIAL:
                # Far beyond `longest`, and no overflow.
                pause = self.delay * 2 ** min(failed - 1, 20)
                pause *= 1 - _JITTER + 2 * _JITTER * chance
        return min(pause, longest)
