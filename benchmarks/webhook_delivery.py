"""Webhooks under fire: `python -m benchmarks.webhook_delivery [--sessions 50 --events 400]`.

Events of many sessions go to a real HTTP receiver, over real PostgreSQL and dispatcher processes.
With `--fire` the receiver resets connections, hangs, answers 500, answers slowly and is away for
`--gone` seconds; a dispatcher is killed and PostgreSQL restarted on the way. Prints what arrived:
missing, out of order, twice; fails unless the first two are zero.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from aiohttp import web
from pydantic import SecretStr

from benchmarks.shared.folder import working_folder
from cluster.domain.errors import Unavailable
from cluster.domain.session import DesiredState, SessionRecord
from cluster.settings import Settings, StoreSettings
from cluster.stores import Stores
from cluster.stores.migrate import migrate
from ops.embedded import EmbeddedPostgres

__all__ = ["Report", "run"]

_ROOT = Path(__file__).parents[1]
_WAIT_SECONDS = 300.0
#: Beyond the dispatchers' patience, and within it.
_HANG_SECONDS, _SLOW_SECONDS = 3.0, 0.3
#: An absence this long, seconds, is a long one.
_PATIENT_FROM = 30.0


@dataclass
class Report:
    """What came of it."""

    sessions: int
    events: int
    delivered: int = 0
    missing: int = 0
    out_of_order: int = 0
    #: Taken twice: a crash fell between the POST and the writing down.
    duplicates: int = 0
    #: Requests that the receiver refused or left hanging on purpose.
    refused: int = 0
    #: Requests that were answered slowly on purpose.
    slow: int = 0
    #: How long the receiver's port was closed, seconds.
    gone: float = 0.0
    dead_letters: int = 0
    seconds: float = 0.0
    per_second: float = 0.0
    #: From the event's commit to the receiver, milliseconds.
    lag_p50: float = 0.0
    lag_p99: float = 0.0

    @property
    def good(self) -> bool:
        return not (self.missing or self.out_of_order or self.dead_letters)


@dataclass
class _Receiver:
    fire: bool
    taken: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    lags: list[float] = field(default_factory=list)
    count: int = 0
    refused: int = 0
    slow: int = 0
    nth: int = 0
    #: Away: connections that were open break.
    gone: bool = False

    async def handle(self, request: web.Request) -> web.Response:
        self.nth += 1
        if self.gone:
            request.transport.abort() if request.transport else None
            return web.Response(status=500)
        body = await request.json()
        if self.fire:
            dice = random.random()  # noqa: S311 - dice
            if dice < 0.02:
                self.refused += 1
                return web.Response(status=500)
            if dice < 0.0215:
                self.refused += 1
                await asyncio.sleep(_HANG_SECONDS)
                return web.Response(status=200)
            if dice < 0.03:
                self.refused += 1
                request.transport.abort() if request.transport else None
                return web.Response(status=500)
            if dice < 0.04:
                self.slow += 1
                await asyncio.sleep(_SLOW_SECONDS)
        self.taken[body["session"]].append(body["gateway"]["seq"])
        self.count += 1
        self.lags.append(time.time() * 1000 - body["timestamp"])
        return web.Response()


class _Dispatchers:
    def __init__(self, environment: dict[str, str], logs: Path) -> None:
        self._environment = environment
        self._logs = logs
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        with (self._logs / f"dispatcher-{len(self._running)}.log").open("ab") as log:
            self._running.append(
                subprocess.Popen(
                    [sys.executable, "-m", "actors.delivery"],
                    cwd=_ROOT,
                    env={**os.environ, "PYTHONPATH": str(_ROOT), **self._environment},
                    stdout=log,
                    stderr=log,
                )
            )

    def kill_one(self) -> None:
        victim = next(one for one in self._running if one.poll() is None)
        os.kill(victim.pid, signal.SIGKILL)
        victim.wait()

    def end(self) -> None:
        for one in self._running:
            one.terminate()
        for one in self._running:
            one.wait(timeout=30)


async def run(
    folder: Path,
    *,
    sessions: int,
    events: int,
    fire: bool,
    dispatchers: int,
    gone: float = 0.0,
) -> Report:
    """Do it, with everything on `folder`. `gone`: for how many seconds nobody listens at the
    receiver's port, under `fire`."""
    postgres = EmbeddedPostgres()
    await asyncio.to_thread(postgres.start, folder / "postgres")
    environment = {
        **postgres.env(),
        "GATEWAY_ENV_FILE": os.devnull,
        "WEBHOOK_ALLOW": "127.0.0.0/8",
        "WEBHOOK_TIMEOUT_SECONDS": "2",
        "WEBHOOK_CONCURRENCY_PER_ENDPOINT": "32",
    }
    # A long absence is borne with the retries and the circuit breaker of an unconfigured gateway.
    patient = gone >= _PATIENT_FROM
    if not patient:
        environment |= {
            "WEBHOOK_BREAKER_PAUSE_SECONDS": "0.5",
            "WEBHOOK_BREAKER_LONGEST_SECONDS": "2",
        }
    fleet = _Dispatchers(environment, folder)
    receiver = _Receiver(fire=fire)
    app = web.Application()
    app.router.add_post("/hook", receiver.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    report = Report(sessions=sessions, events=sessions * events)
    try:
        await asyncio.to_thread(migrate, postgres.env()["DATABASE_URL"])
        stores = await Stores.open(
            Settings(stores=StoreSettings(database_url=SecretStr(environment["DATABASE_URL"])))
        )
        url = f"http://127.0.0.1:{port}/hook"
        made = [await _session(stores, f"s{n}", url, patient=patient) for n in range(sessions)]
        for _ in range(dispatchers):
            await asyncio.to_thread(fleet.start)
        await _warm(stores, receiver, made)
        began = time.monotonic()
        publishing = asyncio.gather(*(_publish(stores, session, events) for session in made))
        if fire:
            await _reach(receiver, report.events * 3 // 10)
            await asyncio.to_thread(fleet.kill_one)
            await _reach(receiver, report.events * 5 // 10)
            await asyncio.to_thread(_restart, postgres, folder / "postgres")
            await asyncio.to_thread(fleet.start)
        if fire and gone:
            await _reach(receiver, report.events * 6 // 10)
            report.gone = await _absence(receiver, runner, site, port, gone)
        await publishing
        await _all_there(receiver, made, events)
        report.seconds = round(time.monotonic() - began, 1)
        report.dead_letters = await _dead_letters(stores)
        await stores.close()
    finally:
        await asyncio.to_thread(fleet.end)
        await runner.cleanup()
        await asyncio.to_thread(postgres.stop)
    return _judged(report, receiver, [session.name for session in made], events)


def _restart(postgres: EmbeddedPostgres, folder: Path) -> None:
    port = urlsplit(postgres.env()["DATABASE_URL"]).port
    postgres.stop()
    time.sleep(1)
    postgres.start(folder, port=port)


async def _absence(
    receiver: _Receiver, runner: web.AppRunner, site: web.TCPSite, port: int, seconds: float
) -> float:
    """Nobody listens, and open connections are of no use; gives the seconds."""
    began = time.monotonic()
    receiver.gone = True
    await site.stop()
    await asyncio.sleep(seconds)
    receiver.gone = False
    await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
    return round(time.monotonic() - began, 1)


async def _session(stores: Stores, name: str, url: str, *, patient: bool) -> SessionRecord:
    hook: dict[str, Any] = {"url": url, "events": ["*"], "hmac": {"key": "k"}}
    if not patient:
        hook["retries"] = {"policy": "constant", "delaySeconds": 0.2, "attempts": 100}
    return await stores.sessions.create("default", name, {"webhooks": [hook]}, DesiredState.STOPPED)


async def _warm(stores: Stores, receiver: _Receiver, made: list[SessionRecord]) -> None:
    """Until the dispatchers are up: one event of each session, which is not counted."""
    fire, receiver.fire = receiver.fire, False
    for session in made:
        await stores.events.append(session.id, "state.change", {})
    await _reach(receiver, len(made))
    receiver.fire, receiver.count, receiver.lags = fire, 0, []


async def _publish(stores: Stores, session: SessionRecord, count: int) -> None:
    payload: dict[str, Any] = {"text": "x" * 600}
    for n in range(count):
        while True:
            try:
                await stores.events.append(session.id, "state.change", payload | {"n": n})
                break
            except Unavailable:
                await asyncio.sleep(0.2)


async def _dead_letters(stores: Stores) -> int:
    while True:
        try:
            rows = await stores.db.all("SELECT count(*) AS n FROM webhook_dead_letters", {})
            return int(rows[0]["n"])
        except Unavailable:
            # A connection from before the restart.
            await asyncio.sleep(0.2)


async def _reach(receiver: _Receiver, count: int) -> None:
    while receiver.count < count:  # noqa: ASYNC110 - the receiver knows nothing of us
        await asyncio.sleep(0.02)


async def _all_there(receiver: _Receiver, made: list[SessionRecord], events: int) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline:
        if all(len(set(receiver.taken[s.name])) > events for s in made):
            return
        await asyncio.sleep(0.05)


def _judged(report: Report, receiver: _Receiver, names: list[str], events: int) -> Report:
    for name in names:
        taken = receiver.taken[name]
        counted = Counter(taken)
        # An append whose connection was cut may have been committed and repeated: more events.
        report.missing += len(set(range(1, max([*taken, events + 1]) + 1)) - counted.keys())
        report.duplicates += sum(count - 1 for count in counted.values())
        firsts = list(dict.fromkeys(taken))
        report.out_of_order += sum(b < a for a, b in pairwise(firsts))
    lags = sorted(receiver.lags) or [0.0]
    report.delivered, report.refused, report.slow = receiver.count, receiver.refused, receiver.slow
    report.per_second = round(receiver.count / max(report.seconds, 0.001), 1)
    report.lag_p50 = round(lags[len(lags) // 2], 1)
    report.lag_p99 = round(lags[int(len(lags) * 0.99)], 1)
    return report


def main(
    sessions: Annotated[int, typer.Option(min=1)] = 50,
    events: Annotated[int, typer.Option(min=1, help="Of each session.")] = 400,
    fire: Annotated[bool, typer.Option(help="Faults, a kill and a restart.")] = True,
    dispatchers: Annotated[int, typer.Option(min=1)] = 2,
    gone: Annotated[float, typer.Option(min=0, help="Seconds the receiver is gone.")] = 5.0,
) -> None:
    """Measure webhook deliveries."""
    with working_folder() as folder:
        report = asyncio.run(
            run(
                folder,
                sessions=sessions,
                events=events,
                fire=fire,
                dispatchers=dispatchers,
                gone=gone,
            )
        )
    typer.echo(json.dumps(asdict(report), indent=2))
    if not report.good:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
