"""The rounds: traffic flows, a fault strikes, those concerned recover, calm, and the count."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from rich.console import Console

from chaos.faults.disk import small_disk
from chaos.gateway import Gateway
from chaos.journal import JournalWatch
from chaos.judge import Judge, calm
from chaos.ledger import Ledger
from chaos.people import Phones, pair_all
from chaos.report import Result
from chaos.scene import Fault, Scene, Strike
from chaos.servers import Servers
from chaos.traffic import Traffic
from cluster.domain.errors import GatewayError
from ops.local.layout import Layout

__all__ = ["Plan", "Suite", "new_folder", "remove"]

#: Traffic before and after a strike, seconds.
_BEFORE, _AFTER = 3.0, 3.0
_GATEWAY = "gw"
#: Longest wait for all sessions after a fault that broke off.
_WELL_SECONDS = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do."""

    faults: list[Fault]
    rounds: int = 5
    sessions: int = 20
    nodes: int = 3
    #: Seconds between two texts of one sender.
    pause: float = 2.0
    #: Seconds without any progress after which what is missing is lost.
    #: After a failover of the database a session whose node is lost may wait for 65 s, once
    #: (docs/decisions/fencing.md).
    patience: float = 90.0
    #: Sessions that share a process.
    sessions_per_actor: int = 1


class Suite:
    """One gateway, all its faults one after the other."""

    def __init__(
        self, plan: Plan, console: Console, noted: Callable[[list[Result]], None] | None = None
    ) -> None:
        """`noted` gets the results after each round."""
        self._plan = plan
        self._noted = noted or (lambda _: None)
        self._console = console
        self.results: list[Result] = []

    async def run(self, folder: Path) -> list[Result]:
        """Start everything in `folder`, run the plan, end everything."""
        async with self._scene(folder) as scene:
            traffic = Traffic(scene, pause=self._plan.pause)
            judge = Judge(scene.gateway, scene.phones, scene.people, traffic)
            watch = JournalWatch(scene.phones)
            watch.start()
            try:
                for fault in self._plan.faults:
                    await self._rounds(fault, scene, traffic, judge, watch)
                    self._noted(self.results)
                    if self.results[-1].broken and not await self._well_again(scene):
                        self._say("the gateway does not get well again: the suite ends here")
                        break
            finally:
                await traffic.stop()
                await watch.stop()
        return self.results

    @asynccontextmanager
    async def _scene(self, folder: Path) -> AsyncIterator[Scene]:
        servers = Servers(
            folder,
            cables=any(fault.cables for fault in self._plan.faults),
            stepped=any(fault.steps_clock for fault in self._plan.faults),
        )
        gateway: Gateway | None = None
        phones: Phones | None = None
        disks = contextlib.ExitStack()
        try:
            await servers.start()
            packed = {
                "PLACEMENT_SESSIONS_PER_ACTOR": str(self._plan.sessions_per_actor),
                # It is one machine.
                "LEASE_GRACE_SECONDS": "60",
            }
            gateway = Gateway(
                folder / _GATEWAY,
                nodes=self._plan.nodes,
                sessions=self._plan.sessions,
                environment=servers.env() | packed,
            )
            if any(fault.small_disks for fault in self._plan.faults):
                for number in range(2, self._plan.nodes + 1):
                    disks.enter_context(small_disk(gateway.layout.node(f"node-{number}")))
            seconds = await gateway.up()
            self._say(f"up after {seconds:.1f} s, in {folder}")
            phones = Phones(servers.sandbox)
            began = time.monotonic()
            people = await pair_all(gateway, phones, self._plan.sessions)
            self._say(f"{len(people)} sessions paired in {time.monotonic() - began:.1f} s")
            yield Scene(gateway, servers, phones, people)
        finally:
            if phones is not None:
                await phones.close()
            if gateway is not None:
                await gateway.end()
            await servers.stop()
            disks.close()

    async def _rounds(
        self, fault: Fault, scene: Scene, traffic: Traffic, judge: Judge, watch: JournalWatch
    ) -> None:
        """All rounds of a fault, until one breaks off."""
        result = Result(
            fault.name,
            fault.what,
            nodes=self._plan.nodes,
            sessions=self._plan.sessions,
            sessions_per_actor=self._plan.sessions_per_actor,
        )
        self.results.append(result)
        ledger = Ledger(fault.name)
        given_up: set[str] = set()
        for number in range(1, self._plan.rounds + 1):
            if not await scene.gateway.settled():
                self._say("not every node has its spare processes; on with it")
            await watch.reset()
            traffic.start(ledger)
            await asyncio.sleep(_BEFORE)
            try:
                await self._round(fault, scene, traffic, result)
                await asyncio.sleep(_AFTER)
                await traffic.pause()
                traffic.check()
                result.verdict = await calm(
                    judge,
                    scene.gateway,
                    scene.phones,
                    ledger,
                    patience=self._plan.patience,
                    given_up=given_up,
                )
                # It was waited for once.
                given_up |= result.verdict.missing
                await watch.read()
                if fault.stays_connected and watch.logins:
                    result.remarks.append(
                        f"round {number}: {watch.logins.total()} logins of sessions that had no "
                        "reason to connect again"
                    )
            except (GatewayError, httpx.HTTPError, OSError) as error:
                result.broken = f"round {number}: {error!r}"
                self._say(f"{fault.name} {result.broken}")
                await traffic.pause()
                with contextlib.suppress(GatewayError, httpx.HTTPError, OSError):
                    result.verdict = await calm(
                        judge, scene.gateway, scene.phones, ledger, patience=self._plan.patience
                    )
                return
            result.rounds = number
            result.load = max(result.load, os.getloadavg()[0])
            result.double_connections += len(watch.doubles)
            result.signal_troubles += watch.troubles
            result.most_logins = max(result.most_logins, *watch.logins.values(), 0)
            result.answers = dict(ledger.answers)
            self._report(number, result, watch)
            self._noted(self.results)

    async def _well_again(self, scene: Scene) -> bool:
        deadline = time.monotonic() + _WELL_SECONDS
        while time.monotonic() < deadline:
            try:
                found = (await scene.gateway.sessions()).values()
                if all(session["status"] == "WORKING" for session in found):
                    return True
            except GatewayError as error:
                self._say(f"not well yet: {error.detail}")
            await asyncio.sleep(3)
        return False

    async def _round(self, fault: Fault, scene: Scene, traffic: Traffic, result: Result) -> None:
        async with fault.strike(scene) as strike:
            self._say(f"{fault.name}: {strike.what}")
            traffic.hurry(strike.affected)
            try:
                await self._recoveries(fault, strike, traffic, result)
            finally:
                traffic.hurry([])
        result.remarks += strike.remarks
        if fault.spares_others:
            refused = traffic.ledger.refused(set(scene.people) - set(strike.affected), strike.since)
            if refused:
                result.remarks.append(f"{refused} requests to sessions not concerned were refused")

    async def _recoveries(
        self, fault: Fault, strike: Strike, traffic: Traffic, result: Result
    ) -> None:
        deadline = time.monotonic() + fault.patience
        waiting = list(strike.affected)
        while waiting and time.monotonic() < deadline:
            for person in list(waiting):
                success = traffic.ledger.success(person, strike.success_from())
                if success is not None:
                    result.recoveries.append(success.ended - strike.since)
                    waiting.remove(person)
                    traffic.recovered(person)
            await asyncio.sleep(0.1)
        result.not_recovered += len(waiting)

    def _report(self, number: int, result: Result, watch: JournalWatch) -> None:
        verdict = result.verdict
        recent = f"{result.recoveries[-1]:.1f} s" if result.recoveries else "–"
        self._say(
            f"{result.fault} round {number}: {verdict.accepted} accepted, "
            f"{verdict.delivered} delivered, {verdict.typed} typed, {verdict.recorded} recorded, "
            f"{verdict.mirrored} mirrored, {verdict.lost} lost, "
            f"{len(verdict.duplicated)} duplicated, {len(watch.doubles)} double connections, "
            f"last recovery {recent}; answers {result.answers}"
        )

    def _say(self, text: str) -> None:
        self._console.print(
            f"{time.strftime('%H:%M:%S')} {text}", markup=False, highlight=False, soft_wrap=True
        )


def remove(folder: Path) -> None:
    """Data and logs, Ray's among them."""
    shutil.rmtree(Layout.at(folder / _GATEWAY).short, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def new_folder() -> Path:
    """Short, for Ray's sockets, and open to the user PostgreSQL runs as under root."""
    folder = Path(tempfile.mkdtemp(prefix="gw-chaos-"))
    folder.chmod(0o711)
    return folder
