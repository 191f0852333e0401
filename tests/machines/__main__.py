"""`gateway machines`, as `python -m machines`."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cluster.domain.errors import GatewayError
from machines.bed import Bed, Start
from machines.debian import Debian
from machines.faults import FAULTS
from machines.report import Round, as_json, publish, read, table
from machines.suite import Suite


def main(
    fault: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(FAULTS)}.")] = None,
    sessions: Annotated[int, typer.Option(min=2)] = 8,
    workers: Annotated[int, typer.Option(min=2, max=8)] = 3,
    rounds: Annotated[int, typer.Option(min=1)] = 1,
    lasts: Annotated[
        int | None, typer.Option(help="Seconds that faults last, in place of their own.")
    ] = None,
    pause: Annotated[float, typer.Option(help="Seconds between two texts of a sender.")] = 2.0,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write what was measured here, too.")
    ] = None,
    table_of: Annotated[
        list[Path] | None,
        typer.Option("--table", help="Only print the table of such files.", exists=True),
    ] = None,
    into: Annotated[
        Path | None, typer.Option(help="Write that table into this document, between its marks.")
    ] = None,
    start: Annotated[
        Start,
        typer.Option(
            help="How nodes are started: plainly, or in a fresh Debian each by systemd, by Ray's "
            "launcher (docs/operations.md), or as the pods of deploy/kubernetes."
        ),
    ] = Start.NODE,
    base: Annotated[
        Path | None, typer.Option(help="Where that Debian is, or is to be kept.")
    ] = None,
    seconds: Annotated[int, typer.Option(help="It ends after that, whatever happens.")] = 14_400,
    keep: Annotated[bool, typer.Option("--keep", help="Leave data and logs.")] = False,
) -> None:
    """Break the network between machines; exit code 1 when a promise did not hold."""
    console = Console(width=200)
    if table_of:
        figures = read(table_of)
        console.print(table(figures), markup=False, soft_wrap=True)
        if into is not None:
            publish(figures, into)
        return
    unknown = [name for name in fault or [] if name not in FAULTS]
    if unknown:
        raise typer.BadParameter(f"no such fault: {', '.join(unknown)}; there are {list(FAULTS)}")
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        raise typer.BadParameter("machines are made by root, on Linux")
    needed = ["ip", "nft", "nsenter", "unshare", *([] if start is Start.NODE else ["debootstrap"])]
    missing = [name for name in needed if not shutil.which(name)]
    if missing:
        raise typer.BadParameter(f"needs {', '.join(missing)}: Debian's iproute2, nftables, …")
    possible = [one.name for one in FAULTS.values() if start in one.starts]
    if refused := set(fault or []) - set(possible):
        raise typer.BadParameter(f"not with nodes started by {start.value}: {refused}")
    chosen = [FAULTS[name] for name in fault or possible]
    if lasts is not None:
        chosen = [
            replace(one, name=f"{one.name}, {lasts} s", lasts=lasts, what=f"{one.what} ({lasts} s)")
            for one in chosen
        ]
    folder = Path(tempfile.mkdtemp(prefix="gw-machines-", dir="/var/tmp"))
    folder.chmod(0o711)
    debian = None if start is Start.NODE else Debian(base or folder / "base")
    stepped = any(one.steps_clock for one in chosen)
    bed = Bed(folder, workers, stepped=stepped, start=start, debian=debian)
    measured: list[Round] = []
    broken: list[str] = []

    def note(found: list[Round]) -> None:
        measured[:] = found
        if json_file is not None:
            json_file.write_text(as_json(found))

    clean = False
    # What was made is removed, however it ends.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if debian is not None:
            debian.make()
            if start is Start.LAUNCHER:
                debian.add_launched()
            if start is Start.KUBERNETES:
                debian.add_containers()
        bed.start({})
        bed.enter_clients()

        async def work() -> None:
            suite = Suite(bed, console, pause, note)
            await asyncio.wait_for(suite.run(chosen, rounds=rounds, sessions=sessions), seconds)
            broken.extend(suite.broken)

        asyncio.run(work())
        clean = not broken and all(one.clean for one in measured)
    except (TimeoutError, GatewayError) as error:
        console.print(f"the suite could not go on: {error}", markup=False, soft_wrap=True)
    finally:
        bed.stop()
        console.print(table(measured), markup=False, soft_wrap=True)
        if clean and not keep:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            console.print(f"data and logs: {folder}", soft_wrap=True)
    if not clean:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
