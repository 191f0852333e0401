"""A process for each session, forked or not: memory, starts, the loss of a node, of everything.

`gateway bench forked [--sessions 20] [--plain]`. Pairs phones of the sandbox on two nodes,
reads the memory of each session's process, stops and starts all, kills the second node. Then, with
a gateway of one node: stops and starts all, kills all of it, stores and sandbox too, and calls `up`
again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks import recovery
from benchmarks.contest.load import Load
from benchmarks.contest.receiver import Receiver
from benchmarks.contest.stacks import Stack, the_gateway
from benchmarks.shared.folder import working_folder

#: Seconds of rest before memory is read: after pairing, and after the start of all.
_REST = 10


def _memory(stack: Stack) -> dict[str, Any]:
    """MB of session processes, of spare ones and of zygotes."""
    found: dict[str, list[Any]] = {"sessions": [], "spares": [], "zygotes": []}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            command = " ".join(process.cmdline())
            if not stack._is_marked(process):
                continue
            if "ray::SessionActor" in command:
                found["sessions"].append(process.memory_full_info())
            elif "zygote/server.py" in command:
                found["zygotes"].append(process.memory_full_info())
            elif "ray::IDLE" in command and process.environ().get("GATEWAY_SESSION_PROCESS"):
                found["spares"].append(process.memory_full_info())
    return {
        what: {
            "number": len(several),
            "uss": round(statistics.mean(one.uss for one in several) / 1e6, 1),
            "pss": round(statistics.mean(one.pss for one in several) / 1e6, 1),
        }
        for what, several in found.items()
        if several
    }


@asynccontextmanager
async def _paired(
    folder: Path, sessions: int, *, nodes: int, found: dict[str, Any]
) -> AsyncIterator[tuple[Stack, httpx.AsyncClient]]:
    """A gateway with so many sessions that have rested; what is `found` is printed in any case."""
    receiver = Receiver()
    await receiver.start()
    found["load"] = [os.getloadavg()[0]]
    with ExitStack() as stack:
        running = await asyncio.to_thread(stack.enter_context, the_gateway(folder, nodes=nodes))
        load = Load(running, receiver, sessions=sessions, seconds=5)
        try:
            found["paired"] = await load.pair()
            await asyncio.sleep(_REST)
            found["memory"] = _memory(running)
            found["load"].append(os.getloadavg()[0])
            async with recovery._api(running) as api:
                yield running, api
            found["load"].append(os.getloadavg()[0])
        finally:
            print(json.dumps(found, indent=1), flush=True)  # noqa: T201
            await load.close()
            receiver.stop()
            await asyncio.to_thread(stack.close)


async def _on_two_nodes(folder: Path, sessions: int) -> None:
    found: dict[str, Any] = {"nodes": 2, "sessions": sessions}
    async with _paired(folder, sessions, nodes=2, found=found) as (running, api):
        found["started"] = await recovery._started_again(running, api)
        await asyncio.sleep(_REST)
        found["memory, started again"] = _memory(running)
        found["load"].append(os.getloadavg()[0])
        found["node lost"] = await recovery._taken_over(api, folder / "gateway")


async def _on_one_node(folder: Path, sessions: int) -> None:
    found: dict[str, Any] = {"nodes": 1, "sessions": sessions}
    async with _paired(folder, sessions, nodes=1, found=found) as (running, api):
        found["started"] = await recovery._started_again(running, api)
        await asyncio.sleep(_REST)
        found["load"].append(os.getloadavg()[0])
        found["all lost"] = await recovery._all_lost(running, api, folder / "gateway")


def main() -> None:
    parser = argparse.ArgumentParser(prog="gateway bench forked", description=__doc__)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--plain", action="store_true", help="not forked")
    given = parser.parse_args()
    os.environ.update(
        PLACEMENT_FORK=str(not given.plain),
        PLACEMENT_SESSIONS_PER_ACTOR="1",
        PLACEMENT_SESSION_SLOTS_PER_NODE="100",
    )
    with working_folder() as folder:
        asyncio.run(_on_two_nodes(folder / "two", given.sessions))
        asyncio.run(_on_one_node(folder / "one", given.sessions))


if __name__ == "__main__":
    main()
