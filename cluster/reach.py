"""Whether another machine is reached: asked where a network may swallow packets and say nothing."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import NamedTuple
from urllib.parse import urlsplit

__all__ = ["Acknowledged", "acknowledged", "connects", "shut_down", "way_to_whatsapp"]

_WEB = ("web.whatsapp.com", 443)
#: Connections that are tried, shortly one after the other: on a network that loses packets one may
#: not come to be.
_TRIES = 3
#: Of `struct tcp_info` (linux/tcp.h): `tcpi_unacked`, `tcpi_last_data_sent`, `tcpi_last_ack_recv`
#: and `tcpi_rtt`.
_TCP_INFO = struct.Struct("=24xI16xI8xI8xI")


class Acknowledged(NamedTuple):
    """What the other machine's kernel has taken of a connection."""

    #: Segments that it has not.
    missing: int
    #: Milliseconds since the last byte was sent, and since the last acknowledgement.
    sent_ms: int
    acknowledged_ms: int
    round_trip_us: int


def acknowledged(fd: int) -> Acknowledged | None:
    """Of the connection with that descriptor; None: of a Unix socket, or without Linux."""
    try:
        with socket.socket(fileno=socket.dup(fd)) as end:
            info = end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
            return Acknowledged(*_TCP_INFO.unpack(info))
    except (OSError, AttributeError, struct.error):
        return None


def shut_down(fd: int) -> bool:
    """End the connection with that descriptor for all who use it, without waiting for the other
    machine; False when it had ended."""
    try:
        with socket.socket(fileno=socket.dup(fd)) as end:
            end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return False
    return True


async def connects(host: str, port: int, *, seconds: float, refused: bool = False) -> bool:
    """Whether a TCP connection comes to be within so long; `refused`: the answer when it is, by
    a machine that is reached."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    tries: set[asyncio.Future[bool]] = set()
    try:
        while (left := end - loop.time()) > 0:
            if len(tries) < _TRIES:
                tries.add(asyncio.ensure_future(_connects(host, port, refused=refused)))
                left = min(left, seconds / (2 * _TRIES))
            done, under_way = await asyncio.wait(
                tries, timeout=left, return_when=asyncio.FIRST_COMPLETED
            )
            if any(one.result() for one in done):
                return True
            if not under_way:
                return False
        return False
    finally:
        for one in tries:
            one.cancel()


async def _connects(host: str, port: int, *, refused: bool) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except ConnectionRefusedError:
        return refused
    except OSError:
        return False
    writer.close()
    return True


def way_to_whatsapp(proxy_url: str) -> tuple[str, int]:
    """Host and port that sessions connect to first."""
    if not proxy_url:
        return _WEB
    parts = urlsplit(proxy_url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
