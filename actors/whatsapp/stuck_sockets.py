"""Connections that the network swallowed, hung up.

The library closes a connection by a handshake (whatsmeow's websocket, up to five seconds), which a
network that swallows packets never answers. An owner that is fenced has less time than that. The
kernel knows such connections: what was sent stays unacknowledged (`tx_queue` and `retrnsmt` in
Linux Documentation/networking/proc_net_tcp.rst).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

from cluster.reach import acknowledged, shut_down

__all__ = ["hang_up"]

_ESTABLISHED = "01"
#: Milliseconds without an acknowledgement, and round trips.
_SILENT_MS, _ROUND_TRIPS = 200, 3


def hang_up(port: int) -> int:
    """Shut down this process's connections to that port of any machine that wait for an
    acknowledgement in vain; returns how many."""
    waiting = dict(_waiting(port))
    if not waiting:
        return 0
    return sum(
        shut_down(fd)
        for fd, inode in _sockets()
        if inode in waiting and _goes_to(fd, port) and (waiting[inode] or _is_silent(fd))
    )


def _waiting(port: int) -> Iterator[tuple[str, bool]]:
    """Inodes of sockets whose bytes were not acknowledged, and whether those were sent again."""
    for name in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/self/net/{name}").read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            _, _, peer, state, queues, _, sent_again, _, _, inode, *_ = line.split()
            if (
                state == _ESTABLISHED
                and int(peer.rpartition(":")[2], 16) == port
                and int(queues.partition(":")[0], 16) > 0
            ):
                yield inode, int(sent_again, 16) > 0


def _sockets() -> Iterator[tuple[int, str]]:
    """Descriptors of this process and their inodes."""
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            yield int(entry.name), target[len("socket:[") : -1]


def _goes_to(fd: int, port: int) -> bool:
    """Still: the descriptor may be another one's by now."""
    try:
        with socket.socket(fileno=os.dup(fd)) as end:
            return bool(end.getpeername()[1] == port)
    except (OSError, IndexError):
        return False


def _is_silent(fd: int) -> bool:
    """Nothing was acknowledged for several round trips since the last byte was sent."""
    state = acknowledged(fd)
    if state is None:
        return False
    silent_ms = min(state.sent_ms, state.acknowledged_ms)
    return silent_ms > max(_SILENT_MS, _ROUND_TRIPS * state.round_trip_us / 1000)
