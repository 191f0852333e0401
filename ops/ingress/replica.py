"""What Ray Serve does in every replica, and what lets strangers in.

It opens a port for calls between deployments, on all addresses, whatever
RAY_SERVE_USE_GRPC_BY_DEFAULT says, that unpickles what comes (Ray 2.60, `_on_initialized` and
`handle_request` in serve/_private/replica.py): with the cluster's token whoever reaches it runs
code there. Our handles make actor calls, so it is not opened.

Its servers believe `X-Forwarded-For` of every process of the same machine, by uvicorn's default.
Whom to believe is the edge policy's to know (api/security/edge_policy.py).

They look ten times a second whether they are to end, and make a date once a second (uvicorn,
`Server.main_loop`): a third of what a replica or a proxy does while nobody asks.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import structlog
import uvicorn
from ray.serve._private import replica

__all__ = ["close_replica", "tick_seldom"]

log = structlog.get_logger(__name__)

#: Of uvicorn's ticks, a tenth of a second each, one in so many is made: those with a new date.
_TICKS = 10


def close_replica() -> None:
    """In a replica, before it is initialized: while its application is built."""
    os.environ.setdefault("FORWARDED_ALLOW_IPS", "nobody")
    if hasattr(replica, "add_port_to_grpc_server"):
        replica.add_port_to_grpc_server = _no_port
    else:
        log.warning("ingress.replica_port_open", reason="this version of Ray opens it otherwise")


def _no_port(server: Any, address: str) -> int:
    """In place of adding a port to `server`."""
    return 0


def tick_seldom() -> None:
    """In a process with such a server, before that serves."""
    setattr(uvicorn.Server, "main_loop", _main_loop)  # noqa: B010


async def _main_loop(server: uvicorn.Server) -> None:
    tick = 0
    while not await server.on_tick(tick):
        tick += _TICKS
        await asyncio.sleep(_TICKS / 10)
