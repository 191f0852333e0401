"""Connections that the network swallowed, hung up.

The library closes a connection by a handshake (whatsmeow's websocket, up to five seconds), which a
network that swallows packets never answers. An owner that is fenced has less time than that. The
kernel knows such connections: it sends again and again what nobody acknowledges (`retrnsmt` in
proc_net_tcp, Linux Documentation/networking/proc_net_tcp.rst).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

__all__ = ["hang_up"]

_ESTABLISHED = "01"


def hang_up(port: int) -> int:
    """Shut down this process's connections to that port of any machine that wait for an
    acknowledgement in vain; returns how many."""
    stuck = set(_stuck(port))
    return sum(_shut_down(fd, port) for fd, inode in _sockets() if inode in stuck) if stuck else 0


def _stuck(port: int) -> Iterator[str]:
    """Inodes of sockets."""
    for name in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/self/net/{name}").read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            _, _, peer, state, _, _, unacknowledged, _, _, inode, *_ = line.split()
            if (
                state == _ESTABLISHED
                and int(peer.rpartition(":")[2], 16) == port
                and int(unacknowledged, 16) > 0
            ):
                yield inode


def _sockets() -> Iterator[tuple[int, str]]:
    """Descriptors of this process and their inodes."""
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            yield int(entry.name), target[len("socket:[") : -1]


def _shut_down(fd: int, port: int) -> bool:
    try:
        with socket.socket(fileno=os.dup(fd)) as end:
            if end.getpeername()[1] != port:
                # Another one's by now.
                return False
            end.shutdown(socket.SHUT_RDWR)
    except (OSError, IndexError):
        return False
    return True
