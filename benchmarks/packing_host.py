"""The process that `benchmarks.packing` measures: it loads what an actor's process loads.

`python -m benchmarks.packing_host session ID`, or `pack ID CAPACITY`.
"""

from __future__ import annotations

import sys
import threading

import ray  # noqa: F401 - as in an actor

from actors.host import SessionHost
from actors.packed.host import PackHost
from actors.session.dead_man import DeadMan
from actors.session_actor import neonize_factory
from cluster.settings import Settings

_NODE = "bench"


async def _nobody(pack: int, session_id: int, entries: list[bytes]) -> bool:
    return False


async def _nowhere(session_id: int, cut_off: bool) -> bool:
    return False


def main(kind: str, at: int, capacity: int = 1) -> None:
    """Host until killed."""
    host: object
    if kind == "session":
        host = SessionHost(
            session_id=at,
            node=_NODE,
            settings=Settings(),
            client_factory=neonize_factory,
            dead_man=DeadMan(),
        )
    else:
        host = PackHost(
            pack=at,
            capacity=capacity,
            node=_NODE,
            settings=Settings(),
            client_factory=neonize_factory,
            hand_over=_nobody,
            move_away=_nowhere,
        )
    threading.Event().wait()
    del host


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
