"""Work that the host does in a fork of itself: what it imports for that ends with the fork.

The clients of the stores and the migrations are 29 MB, and the host has no use for them afterwards.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

import structlog

from cluster.domain.errors import GatewayError, Unavailable
from ops.embedded.process import end_with

__all__ = ["apart"]

log = structlog.get_logger(__name__)


def apart(work: Callable[[], object]) -> None:
    """Do it and wait; nothing that it changes in memory stays. The fork ends with this process, and
    with whatever is raised here meanwhile. Raises `Unavailable` with the reason when it fails."""
    if sys.platform != "linux":
        # Elsewhere a fork may use little of what its system brings.
        work()
        return
    there, here = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _do(work, here, parent)
    os.close(here)
    try:
        with os.fdopen(there, "rb") as answer:
            reason = answer.read().decode()
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    _, status = os.waitpid(pid, 0)
    if status:
        raise Unavailable(reason or f"it ended with {os.waitstatus_to_exitcode(status)}")


def _do(work: Callable[[], object], answer: int, parent: int) -> NoReturn:
    """In the fork; nothing of its parent's, whose children it does not have, is cleaned up here."""
    code = 1
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        end_with(parent, signal.SIGKILL)
        work()
        code = 0
    except GatewayError as error:
        os.write(answer, error.detail.encode())
    except Exception as error:
        log.exception("local.crashed")
        os.write(answer, f"{type(error).__name__}: {error}".encode()[:4000])
    finally:
        sys.stdout.flush()
        os._exit(code)
