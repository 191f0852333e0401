"""A process that is to host sessions reports whether it was forked, and if not, why."""

from __future__ import annotations

import os

import structlog

import actors.zygote
from actors.zygote.launch import FORK, PLAIN
from cluster.telemetry.metrics.meter import METER

__all__ = ["started"]

log = structlog.get_logger(__name__)

_NO_HOOK = "the gateway's sitecustomize.py is not on the PYTHONPATH of the node's raylet"


def started() -> None:
    """Call it once, when the process has its work."""
    if os.environ.get(FORK) != "1":
        return
    METER.count("process_starts", "forked" if actors.zygote.forked else "plain")
    if not actors.zygote.forked:
        log.warning("host.not_forked", reason=os.environ.pop(PLAIN, "") or _NO_HOOK)
