"""What breaks between machines. Each strikes, waits, and puts it right; the suite measures."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from machines.bed import Bed, Host

__all__ = ["FAULTS", "NetFault"]

#: Started again by hand, as it were: the machine's own start takes longer.
_REBOOT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class NetFault:
    """Entered with the machine that has most sessions."""

    name: str
    what: str
    #: Strikes; returns what puts it right.
    strike: Callable[[Bed, Host], Awaitable[Callable[[], Awaitable[None]]]]
    #: From the strike to putting it right, seconds.
    lasts: float
    #: Of the head: every session is concerned, and none has a reason to log in again.
    of_head: bool = False


async def _link(bed: Bed, host: Host) -> Callable[[], Awaitable[None]]:
    host.link(False)

    async def mend() -> None:
        host.link(True)

    return mend


async def _power(bed: Bed, host: Host) -> Callable[[], Awaitable[None]]:
    await asyncio.to_thread(host.kill)

    async def mend() -> None:
        await asyncio.to_thread(host.boot)
        bed.start_node(host)

    return mend


def _without(other: str) -> Callable[[Bed, Host], Awaitable[Callable[[], Awaitable[None]]]]:
    async def strike(bed: Bed, host: Host) -> Callable[[], Awaitable[None]]:
        there: Host = getattr(bed, other)
        host.swallow(there)

        async def mend() -> None:
            host.swallow(there, on=False)

        return mend

    return strike


async def _halves(bed: Bed, host: Host) -> Callable[[], Awaitable[None]]:
    """The head and one worker here, the others there; all reach stores and WhatsApp."""
    here, there = [bed.head, bed.workers[0]], bed.workers[1:]
    pairs = [(one, other) for one in here for other in there]
    for one, other in pairs:
        one.swallow(other)

    async def mend() -> None:
        for one, other in pairs:
            one.swallow(other, on=False)

    return mend


async def _drain(bed: Bed, host: Host) -> Callable[[], Awaitable[None]]:
    await asyncio.to_thread(host.terminate)

    async def mend() -> None:
        bed.start_node(host)

    return mend


FAULTS = {
    fault.name: fault
    for fault in (
        NetFault("worker_link", "a worker's cable is out for 30 s", _link, 30),
        NetFault("worker_power", "a worker loses its power, and boots after 20 s", _power, 20),
        NetFault("head_link", "the head's cable is out for 60 s", _link, 60, of_head=True),
        NetFault("head_power", "the head loses its power, and boots after 60 s", _power, 60, True),
        NetFault(
            "worker_without_postgresql",
            "a worker alone does not reach PostgreSQL for 30 s",
            _without("stores"),
            30,
        ),
        NetFault(
            "worker_without_whatsapp",
            "a worker alone does not reach WhatsApp for 30 s",
            _without("whatsapp"),
            30,
        ),
        NetFault("halves", "head and one worker against the others, 60 s", _halves, 60, True),
        NetFault("drain", "SIGTERM to a worker's node, started again when it is down", _drain, 0),
    )
}
