"""How fast packed sessions come back: all started again, and taken over after the loss of a node.

`gateway bench recovery [--sessions 200] [--json FILE]`: a gateway with two nodes, all its sessions
in processes of the second. They are stopped and started; then everything on that node gets a
SIGKILL, and the first node takes over.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from benchmarks.contest.load import Load, each, percentile
from benchmarks.contest.receiver import Receiver
from benchmarks.contest.stacks import Stack, the_gateway
from benchmarks.shared.folder import working_folder
from ops.embedded.process import ProcessId
from ops.local.layout import ROOT, Layout
from ops.local.processes import descendants
from ops.local.state import State

_PACKED = 200
_NODES, _HEAD, _OTHER = 2, "node-1", "node-2"
_AT_ONCE = 16
_PATIENCE = 300.0


async def measure(folder: Path, sessions: int) -> dict[str, Any]:
    """Pair, stop, start, lose the node. Sessions per second and seconds."""
    receiver = Receiver()
    await receiver.start()
    with ExitStack() as stack:
        running = await asyncio.to_thread(
            stack.enter_context, the_gateway(folder, packed=_PACKED, nodes=_NODES)
        )
        data = folder / "gateway"
        load = Load(running, receiver, sessions=sessions, seconds=0)
        try:
            found: dict[str, Any] = {"sessions": sessions, "cpus": os.cpu_count()}
            found["pair"] = await load.pair()
            # All on one node, until it is lost.
            await asyncio.to_thread(_command, data, "drain", _HEAD, "--timeout", "200")
            async with _api(running) as api:
                found["start"] = await _started_again(running, api)
                await asyncio.to_thread(_command, data, "undrain", _HEAD)
                found["takeover"] = await _taken_over(api, data)
            return found
        finally:
            await load.close()
            receiver.stop()
            # The driver blocks while the gateway is brought down.
            await asyncio.to_thread(stack.close)


async def _started_again(stack: Stack, api: httpx.AsyncClient) -> dict[str, Any]:
    names = dict.fromkeys(await _sessions(api), -1)
    free = asyncio.Semaphore(_AT_ONCE)

    async def post(name: str, verb: str) -> None:
        async with free:
            (await api.post(f"/api/sessions/{name}/{verb}")).raise_for_status()

    await asyncio.gather(*(post(name, "stop") for name in names))
    await _all(api, names, "STOPPED", time.monotonic())
    before = {name: _epoch(one) for name, one in (await _sessions(api)).items()}
    used = await asyncio.to_thread(stack.processor)
    began = time.monotonic()
    asking = [asyncio.create_task(post(name, "start")) for name in names]
    seconds = await _all(api, before, "WORKING", began)
    await asyncio.gather(*asking)
    return {
        **_summary(seconds),
        "processor_ms": each(used, await asyncio.to_thread(stack.processor), len(names)),
    }


async def _taken_over(api: httpx.AsyncClient, data: Path) -> dict[str, Any]:
    found = await _sessions(api)
    nodes = (await api.get("/api/cluster/nodes")).raise_for_status().json()
    lost = next(node["id"] for node in nodes if node["name"] == _OTHER)
    before = {name: _epoch(one) for name, one in found.items() if one["gateway"]["node"] == lost}
    state = State.read(Layout.at(data).state)
    part = next(part for part in state.parts if part.name == _OTHER) if state else None
    if part is None or part.process is None:
        raise RuntimeError("the second node is not there")
    members = {part.process.pid, *(one.pid for one in part.family if one.alive)}
    members |= {one.pid for one in descendants(ProcessId.of(part.process.pid) or part.process)}
    began = time.monotonic()
    for pid in members:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return {"sessions": len(before), **_summary(await _all(api, before, "WORKING", began))}


async def _all_lost(running: Stack, api: httpx.AsyncClient, data: Path) -> dict[str, Any]:
    """SIGKILL of all of the gateway, stores and sandbox included, then `up`: seconds from its call
    until `up` returned, the first text was accepted, sessions are WORKING."""
    before = {name: _epoch(one) for name, one in (await _sessions(api)).items()}
    for pid in [process.pid for _, process in running._processes()]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    # From the same command as before, of the same environment.
    began = time.monotonic()
    up = asyncio.create_task(asyncio.to_thread(_command, data, "up", "--sandbox", "--nodes", "1"))
    working = asyncio.create_task(_all(api, before, "WORKING", began))
    accepted = await _accepted(api, next(iter(before)), began)
    await up
    took = time.monotonic() - began
    return {"up": took, "first 201": accepted, **_summary(await working)}


async def _accepted(api: httpx.AsyncClient, session: str, began: float) -> float:
    """Seconds since `began` until a text of it gets 201."""
    text = {"session": session, "chatId": "491710000000@c.us", "text": "are you there?"}
    while True:
        with suppress(httpx.HTTPError):
            if (await api.post("/api/sendText", json=text)).status_code == httpx.codes.CREATED:
                return time.monotonic() - began
        if time.monotonic() - began > _PATIENCE:
            raise TimeoutError("no text is accepted")
        await asyncio.sleep(0.1)


async def _all(
    api: httpx.AsyncClient, before: Mapping[str, int], status: str, began: float
) -> list[float]:
    """Seconds since `began` until each of `before` was seen so, under a newer epoch than there."""
    seconds: dict[str, float] = {}
    while True:
        with suppress(httpx.HTTPError):
            for name, one in (await _sessions(api)).items():
                if one["status"] == status and _epoch(one) > before.get(name, _epoch(one)):
                    seconds.setdefault(name, time.monotonic() - began)
            if len(seconds) == len(before):
                return sorted(seconds.values())
        if time.monotonic() - began > _PATIENCE:
            raise TimeoutError(f"{len(seconds)} sessions are {status}")
        await asyncio.sleep(0.25)


def _summary(seconds: list[float]) -> dict[str, float]:
    return {
        "first": seconds[0],
        "p50": percentile(seconds, 0.5),
        "p95": percentile(seconds, 0.95),
        "last": seconds[-1],
        "per_second": len(seconds) / seconds[-1],
        "per_second_once_begun": (len(seconds) - 1) / max(0.01, seconds[-1] - seconds[0]),
    }


def _epoch(session: Mapping[str, Any]) -> int:
    return int(session["gateway"]["epoch"])


@asynccontextmanager
async def _api(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=stack.url, headers=stack.headers, timeout=60) as client:
        yield client


async def _sessions(api: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    answer = await api.get("/api/sessions", params={"all": "true"})
    return {one["name"]: one for one in answer.raise_for_status().json()}


def _command(data: Path, name: str, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "ops.cli", name, "--data", str(data), *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "GATEWAY_ENV_FILE": os.devnull},
        stdout=subprocess.DEVNULL,
        timeout=_PATIENCE,
        check=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="gateway bench recovery", description=__doc__)
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    with working_folder() as folder:
        figures = asyncio.run(measure(folder, given.sessions))
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")
    sys.stdout.write(json.dumps(figures) + "\n")
