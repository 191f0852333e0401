"""What Ray Serve does in every replica, and what lets strangers in.

It opens a port for calls between deployments, on all addresses, whatever
RAY_SERVE_USE_GRPC_BY_DEFAULT says, that unpickles what comes (Ray 2.60, `_on_initialized` and
`handle_request` in serve/_private/replica.py): with the cluster's token whoever reaches it runs
code there. Our handles make actor calls, so it is not opened.

Its servers believe `X-Forwarded-For` of every process of the same machine, by uvicorn's default.
Whom to believe is the front door's to know (api/security/front_door.py).
"""

from __future__ import annotations

import os
from typing import Any

import structlog
from ray.serve._private import replica

__all__ = ["close_replica"]

log = structlog.get_logger(__name__)


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
