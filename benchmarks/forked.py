"""A process for each session, forked or not: memory, starts, the loss of a node, of everything.

`gateway bench forked [--sessions 20] [--plain]`. Pairs phones of the sandbox on two nodes,
reads the memory of each session's process, stops and starts all, kills the second node. Then, with
a gateway of one node: kills all of it, stores and sandbox too, and calls `up` again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

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


async def _run(folder: Path, sessions: int) -> dict[str, Any]:
    receiver = Receiver()
    await receiver.start()
    found: dict[str, Any] = {"sessions": sessions, "load": [os.getloadavg()[0]]}
    with ExitStack() as stack:
        running = await asyncio.to_thread(stack.enter_context, the_gateway(folder, nodes=2))
        load = Load(running, receiver, sessions=sessions, seconds=5)
        try:
            found["paired"] = await load.pair()
            await asyncio.sleep(_REST)
            found["memory"] = _memory(running)
            found["load"].append(os.getloadavg()[0])
            async with recovery._api(running) as api:
                found["started"] = await recovery._started_again(running, api)
                await asyncio.sleep(_REST)
                found["memory, started again"] = _memory(running)
                found["load"].append(os.getloadavg()[0])
                found["node lost"] = await recovery._taken_over(api, folder / "gateway")
                found["load"].append(os.getloadavg()[0])
        finally:
            print(json.dumps(found, indent=1), flush=True)  # noqa: T201
            await load.close()
            receiver.stop()
            await asyncio.to_thread(stack.close)
    return found


async def _run_anew(folder: Path, sessions: int) -> dict[str, Any]:
    receiver = Receiver()
    await receiver.start()
    found: dict[str, Any] = {"load": [os.getloadavg()[0]]}
    with ExitStack() as stack:
        running = await asyncio.to_thread(stack.enter_context, the_gateway(folder, nodes=1))
        load = Load(running, receiver, sessions=sessions, seconds=5)
        try:
            await load.pair()
            await asyncio.sleep(_REST)
            found["memory, one node"] = _memory(running)
            async with recovery._api(running) as api:
                found["all lost"] = await recovery._all_lost(running, api, folder / "gateway")
                found["load"].append(os.getloadavg()[0])
        finally:
            print(json.dumps(found, indent=1), flush=True)  # noqa: T201
            await load.close()
            receiver.stop()
            await asyncio.to_thread(stack.close)
    return found


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
        asyncio.run(_run(folder / "two", given.sessions))
        asyncio.run(_run_anew(folder / "one", given.sessions))


if __name__ == "__main__":
    main()
