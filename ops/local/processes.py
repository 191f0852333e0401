"""Processes by identity: a pid alone may be somebody else's by now."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable

import psutil
from pydantic import BaseModel

__all__ = ["ProcessId", "descendants", "end_all"]

_KILL_SECONDS = 5.0
_POLL_SECONDS = 0.02


class ProcessId(BaseModel, frozen=True):
    """A process: its pid and when it began."""

    pid: int
    #: Seconds since the epoch, as psutil gives it.
    created: float

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """The process with this pid, if there is one."""
        try:
            return cls(pid=pid, created=psutil.Process(pid).create_time())
        except psutil.NoSuchProcess:
            return None

    def find(self) -> psutil.Process | None:
        """The same process, unless it ended."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < 1
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None

    @property
    def alive(self) -> bool:
        return self.find() is not None


def descendants(root: ProcessId) -> frozenset[ProcessId]:
    """The process and everything under it, as of now."""
    found = root.find()
    if found is None:
        return frozenset()
    family = {root}
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in found.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                family.add(ProcessId(pid=child.pid, created=child.create_time()))
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
