"""Ends what an earlier run of the same data folder left behind."""

from __future__ import annotations

import psutil
import structlog

from ops.embedded.process import ProcessId
from ops.local.processes import end_all
from ops.local.state import State

__all__ = ["RUN_VARIABLE", "end_orphans"]

log = structlog.get_logger(__name__)

#: In the environment of every process that a host started, with the id of its run.
RUN_VARIABLE = "GATEWAY_LOCAL_RUN"
_GRACE_SECONDS = 10.0


def end_orphans(state: State) -> int:
    """End every process of the run that `state` lists; its host must have ended.

    The recorded ones, and those that carry the run's id: what began after the last record.
    """
    recorded = {member for part in state.parts for member in part.family}
    recorded |= {part.process for part in state.parts if part.process is not None}
    ended = end_all(recorded | _carriers(state.run), patience=_GRACE_SECONDS)
    if ended:
        log.warning("local.orphans_ended", count=len(ended), pids=sorted(ended))
    return len(ended)


def _carriers(run: str) -> set[ProcessId]:
    found = set()
    for process in psutil.process_iter():
        try:
            environment = process.environ()
        except (psutil.Error, OSError):
            continue
        if environment.get(RUN_VARIABLE) == run and (one := ProcessId.of(process.pid)):
            found.add(one)
    return found
