"""Leases that nobody renews, as a node's agent saw them: time that successors there need not wait.

A successor waits until its predecessor's lease has ended, and no wall clock says when that began.
It counts from the answer to its claim; or from when its node's agent had the answer that showed the
same version of the row for the first time, because no renewal came since. Agent and successor read
the same monotonic clock (docs/decisions/fencing.md).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from actors.process_identity import boot_id

__all__ = ["SeenLeases"]


class SeenLeases:
    """A file in the node's data folder: the agent writes it, successors read it."""

    def __init__(self, folder: Path, node: str) -> None:
        self._path = folder / f"leases-{node}.json"

    def write(self, seen: Mapping[int, tuple[int, float]]) -> None:
        """Session → version of its row, and when that was seen first (monotonic seconds); without
        any there is no file. Raises `OSError`."""
        if not seen:
            self._path.unlink(missing_ok=True)
            return
        fresh = self._path.with_suffix(".new")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            json.dump(
                {"boot": boot_id(), "seen": {str(one): two for one, two in seen.items()}}, out
            )
        fresh.replace(self._path)

    def since(self, session_id: int, version: int) -> float | None:
        """When the agent saw that version first; None: it did not, or the clock is another one."""
        try:
            found = json.loads(self._path.read_text())
            seen, since = found["seen"][str(session_id)]
        except (OSError, ValueError, KeyError):
            return None
        known = found["boot"] == boot_id() and seen == version and version
        return float(since) if known else None
