"""What a text costs in several states of the code, either way, by turns.

The gateways of some checkouts are up at the same time, and each is loaded for a few seconds while
the others rest. On a machine that does other work, too, neighbours in time are comparable where two
runs are not.

`python -m benchmarks.by_turns CHECKOUT CHECKOUT [--blocks 6] [--seconds 6] [--sessions 10]
[--only send|receive]`. Prints a line of JSON for each turn, and the medians.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import statistics
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from benchmarks.contest.load import Load
from benchmarks.contest.receiver import Receiver
from benchmarks.contest.stacks import the_gateway
from benchmarks.shared.folder import working_folder
from ops.embedded.process import free_ports

#: The most that one process takes.
_PACKED = 200
#: To phones, and from phones to a webhook: what of it is printed.
WAYS = {
    "send": ("per_second", "phone_p50_ms", "phone_p99_ms"),
    "receive": ("per_second", "webhook_p50_ms", "webhook_p99_ms"),
}


async def run(
    checkouts: Sequence[Path],
    *,
    blocks: int,
    seconds: float,
    sessions: int,
    workers: int,
    ways: Sequence[str] = tuple(WAYS),
) -> dict[str, dict[str, float]]:
    """The medians of each way and checkout, whose sessions share a process."""
    turns: dict[str, list[dict[str, float]]] = {}
    async with AsyncExitStack() as running:
        loads = {}
        for checkout, port in zip(checkouts, free_ports(len(checkouts)), strict=True):
            receiver = Receiver()
            await receiver.start()
            running.callback(receiver.stop)
            folder = running.enter_context(working_folder())
            made = the_gateway(folder, packed=_PACKED, root=checkout.resolve(), port=port)
            stack = await asyncio.to_thread(made.__enter__)
            running.push_async_callback(asyncio.to_thread, made.__exit__, None, None, None)
            load = loads[str(checkout)] = Load(stack, receiver, sessions=sessions, seconds=seconds)
            running.push_async_callback(load.close)
            await load.pair()
        for block, way in itertools.product(range(blocks), ways):
            # There and back, so that nobody is always the first.
            for name in list(loads)[:: -1 if block % 2 else 1]:
                load = loads[name]
                found = await (load.send if way == "send" else load.receive)(workers)
                turn = _figures(found, WAYS[way])
                turns.setdefault(f"{way}: {name}", []).append(turn)
                sys.stdout.write(json.dumps({"way": way, "checkout": name, **turn}) + "\n")
                sys.stdout.flush()
    return {
        name: {what: round(statistics.median(t[what] for t in of), 2) for what in of[0]}
        for name, of in turns.items()
    }


def _figures(found: dict[str, Any], names: Sequence[str]) -> dict[str, float]:
    return {
        "load": round(os.getloadavg()[0], 1),
        "sent": found["sent"],
        "lost": found["sent"] - found["arrived"],
        **{name: round(found[name], 1) for name in names},
        **{f"ms_{part}": each for part, each in found["processor_ms"].items()},
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkouts", nargs="+", type=Path)
    parser.add_argument("--blocks", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--sessions", type=int, default=10)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--only", choices=WAYS, help="one of the two ways")
    given = parser.parse_args()
    medians = asyncio.run(
        run(
            given.checkouts,
            blocks=given.blocks,
            seconds=given.seconds,
            sessions=given.sessions,
            workers=given.workers,
            ways=[given.only] if given.only else tuple(WAYS),
        )
    )
    sys.stdout.write(json.dumps(medians, indent=1) + "\n")
