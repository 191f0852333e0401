"""The rounds: traffic flows, something between machines breaks, it is put right, the count."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import psycopg
from chaos.journal import JournalWatch
from chaos.judge import Judge, calm
from chaos.ledger import Ledger
from chaos.people import Person, Phones, pair_all
from chaos.traffic import Traffic
from rich.console import Console

from cluster.domain.errors import GatewayError
from machines.bed import Bed, until
from machines.faults import NetFault
from machines.front import Front
from machines.hosts import Host
from machines.report import Round
from machines.witness import OwnerSockets, Recovery

__all__ = ["Suite"]

#: Traffic before a strike and after it was put right; seconds.
_BEFORE, _AFTER = 4.0, 8.0
#: Bounds on all nodes being there, and on all sessions working; seconds.
_READY_SECONDS, _WORKING_SECONDS = 600.0, 240.0
#: So many times in a row, 0.2 s apart, all nodes are there.
_STEADY_POLLS = 15
#: Nothing more arrives after so long, seconds.
_PATIENCE = 45.0


class Suite:
    """One bed, all its faults one after the other."""

    def __init__(
        self, bed: Bed, console: Console, pause: float, noted: Callable[[list[Round]], None]
    ) -> None:
        """`pause`: seconds between two texts of one sender; `noted` is called after each round."""
        assert bed.sandbox is not None
        self._bed, self._console, self._pause, self._noted = bed, console, pause, noted
        self._front = Front(bed)
        # What traffic and judge need of the chaos suite's scene.
        self.gateway: Any = self._front
        self.phones = Phones(bed.sandbox)
        self.people: list[Person] = []
        self.unlinked: set[Person] = set()
        self.rounds: list[Round] = []
        #: Rounds of which nothing is known.
        self.broken: list[str] = []

    async def run(self, faults: Sequence[NetFault], *, rounds: int, sessions: int) -> None:
        """Raises `TimeoutError`, `GatewayError` when it cannot go on."""
        traffic = watch = None
        try:
            await self._ready()
            self.people = await pair_all(self.gateway, self.phones, sessions)
            self._say(f"{sessions} sessions paired")
            traffic = Traffic(self, pause=self._pause)  # type: ignore[arg-type]
            judge = Judge(self.gateway, self.phones, self.people, traffic)
            watch = JournalWatch(self.phones)
            watch.start()
            for fault, _ in itertools.product(faults, range(rounds)):
                await self._ready()
                await self._working()
                try:
                    self.rounds.append(await self._round(fault, traffic, judge, watch))
                except (GatewayError, httpx.HTTPError, OSError) as error:
                    self.broken.append(f"{fault.name}: {error!r}")
                    self._say(f"a round that broke off: {self.broken[-1]}")
                    await traffic.pause()
                    continue
                self._say(str(self.rounds[-1]))
                self._noted(self.rounds)
        finally:
            if traffic is not None:
                await traffic.stop()
            if watch is not None:
                await watch.stop()
            await self.phones.close()
            await self._front.close()

    async def _ready(self) -> None:
        wanted, steady = {host.name for host in self._bed.fronts}, 0

        async def all_there() -> bool:
            nonlocal steady
            try:
                names = set((await self._front.nodes()).values())
            except (GatewayError, ValueError):
                steady = 0
                return False
            if names >= wanted and len(self._front.healthy) == len(wanted):
                steady += 1
            else:
                steady = 0
            # Just started they are busy: one is called down and up again.
            return steady >= _STEADY_POLLS

        seconds = await until(all_there, _READY_SECONDS, f"not all of {wanted} joined")
        self._say(f"all nodes are there after {seconds:.0f} s; fronts: {self._front.healthy}")

    async def _working(self) -> None:
        async def all_work() -> bool:
            try:
                found = (await self._front.sessions()).values()
            except GatewayError:
                return False
            return all(one["status"] == "WORKING" for one in found)

        await until(all_work, _WORKING_SECONDS, "not every session works")

    async def _busiest(self) -> tuple[Host, list[Person]]:
        sessions, nodes = await self._front.sessions(), await self._front.nodes()
        on: dict[str, list[Person]] = {host.name: [] for host in self._bed.nodes}
        for person in self.people:
            name = nodes.get(sessions[person.session]["gateway"]["node"] or "", "")
            if name in on:
                on[name].append(person)
        self._say("sessions: " + ", ".join(f"{name} {len(has)}" for name, has in on.items()))
        host = max(self._bed.workers, key=lambda one: len(on[one.name]))
        return host, on[host.name]

    async def _round(
        self, fault: NetFault, traffic: Traffic, judge: Judge, watch: JournalWatch
    ) -> Round:
        host, hit = await self._busiest()
        if fault.of_all:
            host, hit = self._bed.head, list(self.people)
        await watch.reset()
        ledger = Ledger(fault.name)
        traffic.start(ledger)
        await asyncio.sleep(_BEFORE)
        self._say(f"{fault.name} on {host.name}: {fault.what}; {len(hit)} sessions")
        sockets = OwnerSockets(host, self._bed.whatsapp)
        since, struck = time.monotonic(), time.time()
        mend = await fault.strike(self._bed, host)
        await asyncio.sleep(max(0.0, fault.lasts - (time.monotonic() - since)))
        mended = time.time()
        await mend()
        self._say("put right")
        await asyncio.sleep(_AFTER)
        # A lossy network may cost a connection at its very end.
        await sockets.stop()
        remarks = []
        try:
            await self._working()
        except TimeoutError as error:
            remarks.append(str(error))
        await traffic.pause()
        verdict = await calm(judge, self.gateway, self.phones, ledger, patience=_PATIENCE)
        await watch.read()
        if fault.takeovers is not None:
            taken, most = await self._taken_since(struck), fault.takeovers * len(hit)
            if taken > most:
                remarks.append(f"{taken} takeovers from owners that did not let go, {most} at most")
        recovered = [Recovery(person, watch.connected, struck) for person in hit]
        logins = sorted(one.login for one in recovered if one.login is not None)
        closed = sorted(at - struck for at in sockets.closed)
        others = [person for person in self.people if person not in hit]
        return Round(
            fault=fault.name,
            what=fault.what,
            workers=len(self._bed.workers),
            sessions=len(self.people),
            hit=len(hit),
            closed=[after for after in closed if after <= mended - struck],
            waited=[_longest_wait(ledger, person, since) for person in hit],
            waited_others=[_longest_wait(ledger, person, since) for person in others],
            logins=logins,
            more_logins=watch.logins.total() - len(logins),
            works=sorted(one.both_ways for one in recovered if one.both_ways is not None),
            accepted=verdict.accepted,
            typed=verdict.typed,
            lost=sorted({*verdict.lost_sends, *verdict.lost_received}),
            doubled=verdict.duplicated,
            # The first n logins of successors took the place of the first n that were closed.
            double_connections=sum(
                login < close for login, close in zip(logins, closed, strict=False)
            )
            + max(0, len(logins) - len(closed)) * (not fault.of_all),
            replaced=len(watch.doubles),
            unanswered=len(ledger.uncertain),
            needless_logins=watch.logins.total() if fault.stays_connected else 0,
            answers=dict(ledger.answers),
            load=round(os.getloadavg()[0], 1),
            remarks=remarks,
        )

    async def _taken_since(self, struck: float) -> int:
        """Takeovers from owners that did not let go."""
        async with await psycopg.AsyncConnection.connect(self._bed.database_url) as connection:
            row = await (
                await connection.execute(
                    "SELECT count(*) FROM ownership_log "
                    "WHERE kind = 'takeover' AND at > to_timestamp(%s)",
                    [struck],
                )
            ).fetchone()
        return int(row[0]) if row else 0

    def _say(self, text: str) -> None:
        self._console.print(f"{time.strftime('%H:%M:%S')} {text}", markup=False, soft_wrap=True)


def _longest_wait(ledger: Ledger, person: Person, since: float) -> float:
    """Of a caller for his 201, all tries of a text together, of texts that were not accepted before
    the strike."""
    longest, began = 0.0, None
    for one in ledger.tries[person]:
        began = one.began if began is None else began
        if one.accepted:
            if one.ended > since:
                longest = max(longest, one.ended - max(began, since))
            began = None
    return longest
