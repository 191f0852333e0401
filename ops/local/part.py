"""What the host needs of each part it looks after."""

from __future__ import annotations

from typing import Protocol

from ops.local.state import PartState

__all__ = ["Part"]


class Part(Protocol):
    """A process, or a small family of them, that is started, watched and stopped."""

    #: Seconds between its end and the next start.
    rest: float = 0.0

    @property
    def name(self) -> str: ...

    @property
    def ended(self) -> bool:
        """Whether it ran and does not any more."""

    def start(self) -> None:
        """Start it and wait until it answers; again after its end: at the same address.
        Raises `Unavailable`."""

    def stop(self) -> None:
        """End it, bounded. Harmless when it does not run."""

    def report(self) -> PartState: ...
