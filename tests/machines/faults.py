"""What breaks between machines. Each strikes, waits, and puts it right; the suite measures."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from machines.bed import Bed, Start
from machines.hosts import Host, SystemdHost

__all__ = ["FAULTS", "NetFault"]

Mend = Callable[[], Awaitable[None]]

_TEN_MINUTES = 600


@dataclass(frozen=True, slots=True)
class NetFault:
    """Entered with the machine that has most sessions."""

    name: str
    what: str
    #: Strikes; returns what puts it right.
    strike: Callable[[Bed, Host], Awaitable[Mend]]
    #: From the strike to putting it right, seconds.
    lasts: float
    #: Every session is concerned: of the head, or of everybody.
    of_all: bool = False
    #: No session has a reason to log in again.
    stays_connected: bool = False
    #: The clocks of machines must be ones that can be stepped.
    steps_clock: bool = False
    #: How often a session that it concerns is taken from an owner that did not let go, at most; 0:
    #: they are handed over. None: as often as it may be.
    takeovers: int | None = None
    #: How nodes are started where it can be done.
    starts: Sequence[Start] = (Start.NODE, Start.SYSTEMD)


async def _link(bed: Bed, host: Host) -> Mend:
    host.link(False)

    async def mend() -> None:
        host.link(True)

    return mend


async def _power(bed: Bed, host: Host) -> Mend:
    await asyncio.to_thread(host.kill)

    async def mend() -> None:
        await asyncio.to_thread(host.boot)

    return mend


async def _anew(bed: Bed, host: Host) -> Mend:
    await asyncio.to_thread(host.kill)

    async def mend() -> None:
        await asyncio.to_thread(shutil.rmtree, host.data)
        await asyncio.to_thread(host.boot)

    return mend


def _lossy(
    inwards: Sequence[str], outwards: Sequence[str]
) -> Callable[[Bed, Host], Awaitable[Mend]]:
    async def strike(bed: Bed, host: Host) -> Mend:
        host.drop(inwards, outwards)

        async def mend() -> None:
            host.drop()

        return mend

    return strike


def _loses(percent: int) -> str:
    return f"numgen random mod 100 < {percent}"


def _without_store(name: str) -> Callable[[Bed, Host], Awaitable[Mend]]:
    async def strike(bed: Bed, host: Host) -> Mend:
        address, port = bed.stores.address, bed.ports[name]
        return await _lossy(
            [f"ip saddr {address} tcp sport {port}"], [f"ip daddr {address} tcp dport {port}"]
        )(bed, host)

    return strike


async def _without_whatsapp(bed: Bed, host: Host) -> Mend:
    there = bed.whatsapp.address
    return await _lossy([f"ip saddr {there}"], [f"ip daddr {there}"])(bed, host)


async def _halves(bed: Bed, host: Host) -> Mend:
    """The head and one worker here, the others there; all reach stores and WhatsApp."""
    here, there = [bed.head, bed.workers[0]], bed.workers[1:]
    others = " , ".join(one.address for one in there)
    for one in here:
        one.drop([f"ip saddr {{ {others} }}"], [f"ip daddr {{ {others} }}"])

    async def mend() -> None:
        for one in here:
            one.drop()

    return mend


async def _drain(bed: Bed, host: Host) -> Mend:
    await asyncio.to_thread(host.stop_node)

    async def mend() -> None:
        await asyncio.to_thread(host.start_node)

    return mend


async def _upgrade(bed: Bed, host: Host) -> Mend:
    """Node after node, the head last, as docs/operations.md says."""
    for one in (*bed.workers, bed.head):
        await asyncio.to_thread(one.stop_node)
        await asyncio.to_thread(one.start_node)
        await asyncio.to_thread(bed.wait, one.is_up, f"{one.name} is not up")

    async def mend() -> None:
        pass

    return mend


async def _clock(bed: Bed, host: Host) -> Mend:
    bed.clocks[host.name].step(_TEN_MINUTES)

    async def mend() -> None:
        bed.clocks[host.name].step(0)

    return mend


def _shell(command: str) -> Callable[[Bed, Host], Awaitable[Mend]]:
    """Done to a machine by its root; what it broke comes back by itself."""

    async def strike(bed: Bed, host: Host) -> Mend:
        assert isinstance(host, SystemdHost)
        await asyncio.to_thread(host.shell, command.replace("{unit}", host.unit))

        async def mend() -> None:
            pass

        return mend

    return strike


async def _drain_command(bed: Bed, host: Host) -> Mend:
    """From another machine, as an operator does."""
    assert isinstance(bed.head, SystemdHost)
    head = bed.head
    say = f"set -a && . /etc/gateway.env && /opt/gateway/gateway {{}} {host.name}"
    await asyncio.to_thread(head.shell, say.format("drain"))

    async def mend() -> None:
        await asyncio.to_thread(head.shell, say.format("undrain"))

    return mend


async def _reboot(bed: Bed, host: Host) -> Mend:
    assert isinstance(host, SystemdHost)
    await asyncio.to_thread(host.reboot)

    async def mend() -> None:
        await asyncio.to_thread(host.boot)

    return mend


def _killed(name: str) -> str:
    """A shell's words that SIGKILL what has this name in the machine's /proc."""
    found = f"grep -lx {name} /proc/[0-9]*/comm | cut -d/ -f3"
    return f"kill -KILL $({found})"


#: All that starts again what a machine lost.
_BY_ITSELF = [Start.NODE, Start.SYSTEMD, Start.KUBERNETES]

FAULTS = {
    fault.name: fault
    for fault in (
        NetFault(
            "worker_link",
            "a worker's cable is out for 30 s",
            _link,
            30,
            takeovers=1,
            starts=[*Start],
        ),
        NetFault(
            "worker_swallow",
            "a worker's packets get nowhere, 30 s",
            _lossy([""], [""]),
            30,
            takeovers=1,
        ),
        NetFault(
            "worker_one_way", "nothing reaches a worker for 30 s", _lossy([""], []), 30, takeovers=1
        ),
        NetFault(
            "worker_loss_10",
            "a tenth of a worker's packets is lost, each way, 30 s",
            _lossy([_loses(10)], [_loses(10)]),
            30,
        ),
        NetFault(
            "worker_loss_30",
            "of a worker's packets 30 % are lost that come, 5 % that go, 30 s",
            _lossy([_loses(30)], [_loses(5)]),
            30,
        ),
        NetFault(
            "worker_power",
            "a worker loses its power, and boots after 20 s",
            _power,
            20,
            starts=_BY_ITSELF,
            takeovers=1,
        ),
        NetFault(
            "worker_without_postgresql",
            "a worker alone does not reach PostgreSQL for 30 s",
            _without_store("postgresql"),
            30,
        ),
        NetFault(
            "worker_without_whatsapp",
            "a worker alone does not reach WhatsApp for 30 s",
            _without_whatsapp,
            30,
        ),
        NetFault(
            "worker_without_s3",
            "a worker alone does not reach S3 for 30 s",
            _without_store("s3"),
            30,
            stays_connected=True,
        ),
        NetFault(
            "head_link",
            "the head's cable is out for 60 s",
            _link,
            60,
            of_all=True,
            stays_connected=True,
        ),
        NetFault(
            "head_power",
            "the head loses its power, and boots after 60 s",
            _power,
            60,
            of_all=True,
            stays_connected=True,
            starts=_BY_ITSELF,
        ),
        NetFault(
            "head_anew",
            "the head is lost; 20 s later another machine with an empty disk has its address",
            _anew,
            20,
            of_all=True,
            stays_connected=True,
        ),
        NetFault(
            "halves",
            "head and one worker against the others, 60 s",
            _halves,
            60,
            of_all=True,
            stays_connected=True,
        ),
        NetFault(
            "drain",
            "SIGTERM to a worker's node, started again when it is down",
            _drain,
            0,
            takeovers=0,
            starts=_BY_ITSELF,
        ),
        NetFault(
            "upgrade",
            "every node is stopped and started, the head last",
            _upgrade,
            0,
            of_all=True,
            takeovers=0,
        ),
        NetFault(
            "clock",
            "a worker's clock is ten minutes ahead for 30 s (its Python, by a preloaded library)",
            _clock,
            30,
            stays_connected=True,
            steps_clock=True,
            starts=[Start.NODE],
        ),
        NetFault(
            "drain_command",
            "`gateway drain` of a worker, and `undrain` when it is empty",
            _drain_command,
            0,
            takeovers=0,
            starts=[Start.SYSTEMD],
        ),
        NetFault(
            "unit_restart",
            "`systemctl restart` of a worker's unit",
            _shell("systemctl restart {unit}"),
            0,
            takeovers=0,
            starts=[Start.SYSTEMD],
        ),
        NetFault(
            "unit_killed",
            "SIGKILL of a worker's `gateway node`; systemd starts it again",
            _shell("systemctl kill --signal=KILL --kill-whom=main {unit}"),
            0,
            starts=[Start.SYSTEMD],
        ),
        NetFault(
            "raylet_killed",
            "SIGKILL of a worker's raylet",
            _shell(_killed("raylet")),
            0,
            starts=[Start.SYSTEMD, Start.LAUNCHER],
        ),
        NetFault(
            "gcs_killed",
            "SIGKILL of the head's control store",
            _shell(_killed("gcs_server")),
            0,
            of_all=True,
            stays_connected=True,
            starts=[Start.SYSTEMD, Start.LAUNCHER],
        ),
        NetFault(
            "head_restart",
            "`systemctl restart` of the head's unit",
            _shell("systemctl restart {unit}"),
            0,
            of_all=True,
            stays_connected=True,
            starts=[Start.SYSTEMD],
        ),
        NetFault(
            "reboot",
            "`systemctl reboot` of a worker's machine",
            _reboot,
            0,
            takeovers=0,
            starts=[Start.SYSTEMD],
        ),
    )
}
