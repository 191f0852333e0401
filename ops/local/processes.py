"""Processes by identity: a pid alone may be somebody else's by now."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import psutil
from pydantic import BaseModel

__all__ = ["ProcessId", "descendants", "end_all"]

_KILL_SECONDS = 5.0


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
    present = [found for one in processes if (found := one.find()) is not None]
    for process in present:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, left = psutil.wait_procs(present, timeout=patience)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=_KILL_SECONDS)
    return [process.pid for process in present]
