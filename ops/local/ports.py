"""Whether a port can be listened on."""

from __future__ import annotations

import socket

__all__ = ["is_free"]


def is_free(host: str, port: int) -> bool:
    """Whether nothing listens on it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do: connections that are just closing do not hold it.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
