"""Who holds a lease: a process, named so that another one on the same host can see it is dead."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

__all__ = ["began", "boot_id", "end", "holder_id", "host_id", "is_dead"]

#: Of the fields that `_stat` has: clock ticks between boot and the start.
_STARTED = 19


def holder_id() -> str:
    """`boot id/pid namespace/pid/start time` of this process."""
    return f"{host_id()}/{os.getpid()}/{_start_time(os.getpid())}"


def is_dead(holder: str, *, one_machine: bool = False) -> bool:
    """True only when `holder` is proven dead: it ran on this very boot of this host, in this pid
    namespace, and its pid is gone or belongs to a process that started later. Or, with
    `one_machine`, where every holder ran on this machine, before its last boot."""
    boot = holder.partition("/")[0]
    if one_machine and boot and boot != boot_id():
        return True
    host, _, rest = holder.rpartition("/")
    host, _, pid = host.rpartition("/")
    if host != host_id() or not pid.isdigit():
        return False
    return _start_time(int(pid)) != rest


def end(holder: str) -> bool:
    """SIGKILL the process of `holder`, if it is here and still that one; False: it may not be, or
    this user may not do it. It is dead when `is_dead` says so."""
    if not holder.startswith(f"{host_id()}/") or holder == holder_id() or is_dead(holder):
        return False
    with suppress(OSError, ValueError):
        # By a descriptor: the pid may be somebody else's in the next moment.
        descriptor = os.pidfd_open(int(holder.split("/")[-2]))
        try:
            if not is_dead(holder):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                return True
        finally:
            os.close(descriptor)
    return False


def began(pid: int) -> str:
    """When the process with this pid, dead ones that nobody has asked about included, began, by a
    clock that nobody sets: `boot id/clock ticks`. Empty when there is none, and where the kernel is
    not Linux."""
    fields = _stat(pid)
    return f"{boot_id()}/{fields[_STARTED]}" if fields else ""


def boot_id() -> str:
    """Changes with every boot of the host."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def host_id() -> str:
    """What processes share that see of each other whether they live."""
    return f"{boot_id()}/{Path('/proc/self/ns/pid').readlink()}"


def _start_time(pid: int) -> str:
    """Clock ticks between boot and the start of `pid`; empty when it is gone or only a zombie."""
    if not (fields := _stat(pid)):
        return ""
    # Of a process that is being killed the first thread may be gone and others not yet: they hold
    # its sockets.
    state, threads = fields[0], int(fields[17])
    return "" if state in {"Z", "X"} and threads <= 1 else fields[_STARTED]


def _stat(pid: int) -> list[str]:
    """What the kernel says of a process, from its state on (proc(5)); empty when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    # The command name may hold anything, so count from the closing bracket.
    return stat.rpartition(")")[2].split()
