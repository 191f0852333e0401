"""One thing that was looked at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Check", "Verdict"]


class Verdict(StrEnum):
    """How it was found."""

    OK = "ok"
    #: It works; something is missing or near a bound.
    WARNING = "warning"
    #: It will not work like this.
    ERROR = "error"
    #: Could not be looked at, and need not be.
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """What was found, and what to do about it."""

    #: `machine`, `packages`, `library`, `secrets`, `stores`, `security`, `gateway`
    group: str
    name: str
    verdict: Verdict
    found: str
    #: What mends it; empty where nothing is to be mended.
    remedy: str = ""
