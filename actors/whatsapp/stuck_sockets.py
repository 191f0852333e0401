"""Connections that the network swallowed, hung up.

The library closes a connection by a handshake (whatsmeow's websocket, up to five seconds), which a
network that swallows packets never answers. An owner that is fenced has less time than that. The
kernel knows such connections: what was sent stays unacknowledged (`tx_queue` and `retrnsmt` in
Linux Documentation/networking/proc_net_tcp.rst; `struct tcp_info` in linux/tcp.h).
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

__all__ = ["hang_up"]

_ESTABLISHED = "01"
#: Milliseconds without an acknowledgement, and round trips.
_SILENT_MS, _ROUND_TRIPS = 200, 3
#: Of `struct tcp_info`: up to `tcpi_rtt`; that is microseconds.
_INFO = struct.Struct("=44xI8xI8xI")


def hang_up(port: int) -> int:
    """Shut down this process's connections to that port of any machine that wait for an
    acknowledgement in vain; returns how many."""
    waiting = dict(_waiting(port))
    if not waiting:
        return 0
    return sum(
        _shut_down(fd, port, sent_again=waiting[inode])
        for fd, inode in _sockets()
        if inode in waiting
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


def _shut_down(fd: int, port: int, *, sent_again: bool) -> bool:
    try:
        with socket.socket(fileno=os.dup(fd)) as end:
            # Another one's by now, or the answer is on its way.
            if end.getpeername()[1] != port or not (sent_again or _is_silent(end)):
                return False
            end.shutdown(socket.SHUT_RDWR)
    except (OSError, IndexError, struct.error):
        return False
    return True


def _is_silent(end: socket.socket) -> bool:
    """Nothing was acknowledged for several round trips since the last byte was sent."""
    info = end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size)
    sent_ms, acknowledged_ms, round_trip = _INFO.unpack(info)
    return bool(min(sent_ms, acknowledged_ms) > max(_SILENT_MS, _ROUND_TRIPS * round_trip / 1000))
