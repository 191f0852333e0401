"""The HTTP front alone: `GET /ping` of a running gateway beside bare uvicorn, on the same cores.

`gateway bench ingress [--json FILE]`: rounds of both by turns, the same connections to each, one
request after the other on every one. The client is part of both figures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI

from benchmarks.contest.load import percentile
from benchmarks.contest.stacks import the_gateway
from benchmarks.shared.folder import working_folder
from ops.embedded.process import free_ports
from ops.local.layout import ROOT

__all__ = ["application"]

_WARM_SECONDS = 1.0
_UP_SECONDS = 30.0


def application() -> FastAPI:
    """What uvicorn serves: the same answer, and nothing around it."""
    bare = FastAPI(openapi_url=None)

    @bare.get("/ping")
    async def ping() -> dict[str, str]:
        return {"message": "pong"}

    return bare


class _Caller(asyncio.Protocol):
    """One connection that is kept alive. Requests until `until`; milliseconds of each."""

    def __init__(self, host: str, until: float) -> None:
        self._request = f"GET /ping HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        self._until = until
        self._answer = b""
        self._asked = 0.0
        self.took: list[float] = []
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - it is TCP
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        self._answer, self._asked = b"", time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if not self._answer.endswith(b'"pong"}'):
            return
        if not self._answer.startswith(b"HTTP/1.1 200"):
            self._fail(self._answer[:80].decode())
            return
        self.took.append(1e3 * (time.perf_counter() - self._asked))
        if time.monotonic() < self._until:
            self._ask()
        else:
            self.over.set_result(None)
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(f"the connection ended: {error}")

    def _fail(self, why: str) -> None:
        if not self.over.done():
            self.over.set_exception(ConnectionError(why))


def _same(caller: _Caller) -> _Caller:
    return caller


async def _round(url: str, connections: int, seconds: float) -> dict[str, float]:
    place = urlsplit(url)
    began = time.monotonic()
    callers = [_Caller(place.netloc, began + seconds) for _ in range(connections)]
    loop = asyncio.get_running_loop()
    for caller in callers:
        await loop.create_connection(partial(_same, caller), place.hostname or "", place.port or 80)
    async with asyncio.timeout(seconds + 30):
        await asyncio.gather(*(caller.over for caller in callers))
    took = [one for caller in callers for one in caller.took]
    return {
        "per_second": len(took) / (time.monotonic() - began),
        "p50_ms": percentile(took, 0.5),
        "p99_ms": percentile(took, 0.99),
    }


@contextmanager
def _bare() -> Iterator[str]:
    (port,) = free_ports(1)
    command = ["--factory", "benchmarks.ingress:application", "--port", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", *command, "--no-access-log", "--log-level", "warning"],
        cwd=ROOT,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


async def _up(url: str) -> None:
    deadline = time.monotonic() + _UP_SECONDS
    while True:
        try:
            await _round(url, 1, 0.1)
        except OSError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.2)
        else:
            return


async def measure(
    folder: Path, connections: list[int], rounds: int, seconds: float
) -> dict[str, Any]:
    """For each number of connections: medians over the rounds of both, and the ratio."""
    gateway = the_gateway(folder)
    running = await asyncio.to_thread(gateway.__enter__)
    found: dict[str, Any] = {}
    try:
        with _bare() as bare:
            urls = {"uvicorn": bare, "gateway": running.url}
            for url in urls.values():
                await _up(url)
            for number in connections:
                seen: dict[str, list[dict[str, float]]] = {name: [] for name in urls}
                for url in urls.values():
                    await _round(url, number, _WARM_SECONDS)
                for _ in range(rounds):
                    for name, url in urls.items():
                        seen[name].append(await _round(url, number, seconds))
                found[str(number)] = {
                    name: {key: statistics.median(one[key] for one in all_) for key in all_[0]}
                    for name, all_ in seen.items()
                }
                rates = {name: one["per_second"] for name, one in found[str(number)].items()}
                found[str(number)]["ratio"] = rates["gateway"] / rates["uvicorn"]
    finally:
        await asyncio.to_thread(gateway.__exit__, None, None, None)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="gateway bench ingress", description=__doc__)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    with working_folder() as folder:
        figures = asyncio.run(measure(folder, given.connections, given.rounds, given.seconds))
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")
    sys.stdout.write(json.dumps(figures) + "\n")
