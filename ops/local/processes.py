"""Processes with all that is under them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable

import psutil

from ops.embedded.process import ProcessId

__all__ = ["descendants", "end_all"]

_KILL_SECONDS = 5.0
_POLL_SECONDS = 0.02


def descendants(root: ProcessId) -> frozenset[ProcessId]:
    """The process and everything under it, as of now."""
    found = root.find()
    if found is None:
        return frozenset()
    family = {root}
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in found.children(recursive=True):
            if one := ProcessId.of(child.pid):
                family.add(one)
    return frozenset(family)


def end_all(processes: Iterable[ProcessId], *, patience: float) -> list[int]:
    """Ask each to end, kill what is left after `patience` seconds. Returns the pids asked."""
    present = {one: found for one in processes if (found := one.find()) is not None}
    for process in present.values():
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    for one in _left(present, patience):
        with contextlib.suppress(psutil.NoSuchProcess):
            present[one].kill()
    _left(present, _KILL_SECONDS)
    return [one.pid for one in present]


def _left(processes: Iterable[ProcessId], seconds: float) -> list[ProcessId]:
    """Those that still run after at most `seconds`. One that has ended and that its parent has not
    asked about does not run: an orphan's may be a minute late."""
    deadline = time.monotonic() + seconds
    while True:
        left = [one for one in processes if one.alive]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(_POLL_SECONDS)
