"""`gateway machines`, as `python -m machines`."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from chaos.journal import JournalWatch
from chaos.judge import Judge, calm
from chaos.ledger import Ledger
from chaos.people import Person, Phones, pair_all
from chaos.traffic import Traffic
from rich.console import Console

from cluster.domain.errors import GatewayError, Unavailable
from machines.bed import Bed, Host, until
from machines.faults import FAULTS, NetFault
from machines.front import Front

_READY_SECONDS, _AFTER, _PATIENCE = 600.0, 8.0, 45.0
_COLUMNS = (
    *("fault", "sessions hit", "201 again p50 / p95 / most, s", "longest gap of the others, s"),
    *("works again, both ways, most, s", "logins", "accepted", "lost", "twice"),
    *("replaced", "load"),
)


class _Suite:
    def __init__(self, bed: Bed, front: Front, phones: Phones, console: Console) -> None:
        self.bed, self.front, self.phones, self.console = bed, front, phones, console
        self.people: list[Person] = []
        #: Of `Scene`, as far as traffic and judge need it.
        self.gateway: Any = front
        self.unlinked: set[Person] = set()
        self.results: list[dict[str, Any]] = []

    def say(self, text: str) -> None:
        self.console.print(f"{time.strftime('%H:%M:%S')} {text}", markup=False, soft_wrap=True)

    async def ready(self) -> None:
        wanted = {host.name for host in self.bed.nodes}

        async def all_there() -> bool:
            try:
                names = set((await self.front.nodes()).values())
            except (GatewayError, ValueError):
                return False
            return names >= wanted and len(self.front.healthy) == len(wanted)

        seconds = await until(all_there, _READY_SECONDS, f"not all of {wanted} joined")
        self.say(f"all nodes are there after {seconds:.0f} s; fronts: {self.front.healthy}")

    async def working(self, seconds: float) -> None:
        async def all_work() -> bool:
            try:
                found = (await self.front.sessions()).values()
            except GatewayError:
                return False
            return all(one["status"] == "WORKING" for one in found)

        await until(all_work, seconds, "not every session works")

    async def busiest(self) -> tuple[Host, list[Person]]:
        sessions, nodes = await self.front.sessions(), await self.front.nodes()
        on: dict[str, list[Person]] = {host.name: [] for host in self.bed.nodes}
        for person in self.people:
            name = nodes.get(sessions[person.session]["gateway"]["node"] or "", "")
            if name in on:
                on[name].append(person)
        self.say("sessions: " + ", ".join(f"{name} {len(has)}" for name, has in on.items()))
        host = max(self.bed.workers, key=lambda one: len(on[one.name]))
        return host, on[host.name]

    async def round(
        self, fault: NetFault, traffic: Traffic, judge: Judge, watch: JournalWatch
    ) -> dict[str, Any]:
        host, hit = await self.busiest()
        if fault.of_head:
            host, hit = self.bed.head, list(self.people)
        await watch.reset()
        ledger = Ledger(fault.name)
        traffic.start(ledger)
        await asyncio.sleep(4)
        self.say(f"{fault.name} on {host.name}: {fault.what}; {len(hit)} sessions")
        since = time.monotonic()
        mend = await fault.strike(self.bed, host)
        await asyncio.sleep(max(0.0, fault.lasts - (time.monotonic() - since)))
        await mend()
        self.say("put right")
        await asyncio.sleep(_AFTER)
        remarks = []
        try:
            await self.working(180)
        except TimeoutError as error:
            remarks.append(str(error))
        ended = time.monotonic()
        await traffic.pause()
        verdict = await calm(judge, self.gateway, self.phones, ledger, patience=_PATIENCE)
        await watch.read()
        again = sorted(
            success.ended - since
            for person in hit
            if (success := ledger.success(person, since)) is not None
        )
        others = [p for p in self.people if p not in hit]
        both = [g for p in hit if (g := _both_ways(ledger, p, since, ended)) is not None]
        return {
            "fault": fault.name,
            "what": fault.what,
            "hit": len(hit),
            "again": [round(one, 1) for one in again],
            "not_again": len(hit) - len(again),
            "gap_of_hit": _gap(ledger, hit, since, ended),
            "gap_of_others": _gap(ledger, others, since, ended),
            "both_ways": both,
            "logins": watch.logins.total(),
            "accepted": verdict.accepted,
            "typed": verdict.typed,
            "lost": verdict.lost,
            "lost_what": sorted(verdict.missing)[:10],
            "twice": len(verdict.duplicated),
            "replaced": len(watch.doubles),
            "answers": dict(ledger.answers),
            "load": round(os.getloadavg()[0], 1),
            "remarks": remarks,
        }


def _gap(ledger: Ledger, people: list[Person], since: float, ended: float) -> float:
    """Longest time without an accepted send, of any of them."""
    longest = 0.0
    for person in people:
        times = [t.ended for t in ledger.tries[person] if t.accepted and t.ended > since]
        points = [since, *sorted(times), ended]
        longest = max(longest, *(b - a for a, b in itertools.pairwise(points)))
    return round(longest, 1)


def _both_ways(ledger: Ledger, person: Person, since: float, ended: float) -> float | None:
    """Until the first send that took less than five seconds."""
    found = [t.ended - since for t in ledger.tries[person] if t.accepted and t.began > since]
    return round(min(found), 1) if found else None


def _row(one: dict[str, Any]) -> str:
    again = one["again"]
    told = "–"
    if again:
        p95 = again[min(len(again) - 1, round(0.95 * len(again)))]
        told = f"{again[len(again) // 2]} / {p95} / {again[-1]}"
    cells = [
        *(one["fault"], one["hit"], told, one["gap_of_others"], one["gap_of_hit"]),
        *(one["logins"], one["accepted"], one["lost"], one["twice"], one["replaced"], one["load"]),
    ]
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


async def _run(
    bed: Bed, faults: list[NetFault], sessions: int, rounds: int, console: Console, out: Path | None
) -> list[dict[str, Any]]:
    front = Front([host.address for host in bed.nodes], bed.api_key)
    assert bed.sandbox is not None
    phones = Phones(bed.sandbox)
    suite = _Suite(bed, front, phones, console)
    traffic = watch = None
    try:
        await suite.ready()
        suite.people = await pair_all(front, phones, sessions)  # type: ignore[arg-type]
        suite.say(f"{sessions} sessions paired")
        traffic = Traffic(suite, pause=2.0)  # type: ignore[arg-type]
        judge = Judge(suite.gateway, phones, suite.people, traffic)
        watch = JournalWatch(phones)
        watch.start()
        for fault in faults:
            for _ in range(rounds):
                await suite.ready()
                await suite.working(240)
                result = await suite.round(fault, traffic, judge, watch)
                suite.results.append(result)
                suite.say(json.dumps(result))
                if out is not None:
                    await asyncio.to_thread(out.write_text, json.dumps(suite.results, indent=1))
    except (TimeoutError, Unavailable) as error:
        suite.say(f"the suite could not go on: {error}")
        suite.results.append({"broken": str(error)})
    finally:
        if traffic is not None:
            await traffic.stop()
        if watch is not None:
            await watch.stop()
        await phones.close()
        await front.close()
    return suite.results


def main(
    fault: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(FAULTS)}.")] = None,
    sessions: Annotated[int, typer.Option(min=2)] = 8,
    workers: Annotated[int, typer.Option(min=2, max=8)] = 3,
    rounds: Annotated[int, typer.Option(min=1)] = 1,
    json_file: Annotated[Path | None, typer.Option("--json")] = None,
    seconds: Annotated[int, typer.Option(help="It ends after that, whatever happens.")] = 3600,
    keep: Annotated[bool, typer.Option("--keep", help="Leave data and logs.")] = False,
) -> None:
    """Break the network between machines; exit code 1 when a promise did not hold."""
    console = Console(width=200)
    unknown = [name for name in fault or [] if name not in FAULTS]
    if unknown:
        raise typer.BadParameter(f"no such fault: {', '.join(unknown)}; there are {list(FAULTS)}")
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        raise typer.BadParameter("machines are made by root, on Linux")
    folder = Path(tempfile.mkdtemp(prefix="gw-machines-", dir="/var/tmp"))
    folder.chmod(0o711)
    bed = Bed(folder, workers)
    clean = False
    # What was made is removed, however it ends.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        bed.start({})
        bed.enter_clients()
        chosen = [FAULTS[name] for name in fault or FAULTS]
        work = _run(bed, chosen, sessions, rounds, console, json_file)
        results = asyncio.run(asyncio.wait_for(work, seconds))
        console.print("| " + " | ".join(_COLUMNS) + " |", markup=False, soft_wrap=True)
        for one in results:
            if "fault" in one:
                console.print(_row(one), markup=False, soft_wrap=True)
        clean = all(
            not one.get("broken") and not one["lost"] and not one["twice"] and not one["not_again"]
            for one in results
        )
    finally:
        bed.stop()
        if clean and not keep:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            console.print(f"data and logs: {folder}", soft_wrap=True)
    if not clean:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
