"""How this machine and the gateway's processes on it are."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import psutil

from actors.zygote.launch import zygotes

__all__ = ["Health", "session_memory"]

_MB = 1 << 20


class Health:
    """Readings of the machine; rates are those since the reading before."""

    def __init__(self) -> None:
        psutil.cpu_percent()
        self._net = psutil.net_io_counters()
        self._at = time.monotonic()

    def read(self, *, sessions: int) -> dict[str, Any]:
        """CPU in percent of all cores, memory in MB, network in bytes a second."""
        memory, net, now = psutil.virtual_memory(), psutil.net_io_counters(), time.monotonic()
        seconds = max(now - self._at, 0.001)
        found = {
            "cpuPercent": psutil.cpu_percent(),
            "load": round(psutil.getloadavg()[0], 2),
            "memory": {
                "totalMb": memory.total // _MB,
                "availableMb": memory.available // _MB,
                "percent": memory.percent,
            },
            "network": {
                "sentPerSecond": round((net.bytes_sent - self._net.bytes_sent) / seconds),
                "receivedPerSecond": round((net.bytes_recv - self._net.bytes_recv) / seconds),
            },
            "sessions": sessions,
        }
        self._net, self._at = net, now
        return found


def session_memory(root: Path) -> float:
    """Bytes that the session processes of this node, whose data folder `root` is, have for
    themselves: what they share with others (libraries, what they were forked with) is left out.
    They are children of the raylet, as this process is, or of one of the node's zygotes."""
    total = 0
    for parent in (os.getppid(), *zygotes(root)):
        for pid in _children(parent):
            try:
                process = psutil.Process(pid)
                # Ray names a worker after its actor's class.
                if "SessionActor" in "".join(process.cmdline()[:1]):
                    total += process.memory_full_info().uss
            except psutil.Error:
                # It ended meanwhile.
                continue
    return float(total)


def _children(parent: int) -> list[int]:
    """Process ids. The kernel lists them by thread; elsewhere all processes are walked through,
    which costs a hundred times as much."""
    try:
        listed = list(Path(f"/proc/{parent}/task").glob("*/children"))
        if listed:
            return [int(pid) for file in listed for pid in file.read_text().split()]
        return [child.pid for child in psutil.Process(parent).children()]
    except (OSError, psutil.NoSuchProcess):
        return []
