"""The process that `benchmarks.packing` measures: it loads what an actor's process loads.

`python -m benchmarks.packing_host session ID`, or `host ID CAPACITY`.
"""

from __future__ import annotations

import sys
import threading

import ray  # noqa: F401 - as in an actor

from actors.hosts.clients import neonize_factory
from actors.hosts.host import Assigned, SessionHost
from cluster.settings import Settings

_NODE = "bench"


def main(kind: str, at: int, capacity: int = 1) -> None:
    """Host until killed."""
    alone = kind == "session"
    assigned = Assigned(session_id=at) if alone else Assigned(host=at, capacity=capacity)
    host = SessionHost(
        assigned=assigned, node=_NODE, settings=Settings(), client_factory=neonize_factory
    )
    threading.Event().wait()
    del host


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
